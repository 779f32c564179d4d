/* C = A B on row-major n x n doubles, three loop orders.
   Arguments: order (ijk, ikj or blocked), n (at most 256), block (for blocked; divides n). */
#include <stdlib.h>

#define MOST 65536
double a[MOST] __attribute__((aligned(4096)));
double b[MOST] __attribute__((aligned(4096)));
double c[MOST] __attribute__((aligned(4096)));

__attribute__((noinline)) void matmul_ijk(long n)
{
    for (long i = 0; i < n; i++)
        for (long j = 0; j < n; j++) {
            double sum = 0;
            for (long k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}

__attribute__((noinline)) void matmul_ikj(long n)
{
    for (long i = 0; i < n; i++)
        for (long k = 0; k < n; k++) {
            double left = a[i * n + k];
            for (long j = 0; j < n; j++)
                c[i * n + j] += left * b[k * n + j];
        }
}

__attribute__((noinline)) void matmul_blocked(long n, long block)
{
    for (long ii = 0; ii < n; ii += block)
        for (long kk = 0; kk < n; kk += block)
            for (long jj = 0; jj < n; jj += block)
                for (long i = ii; i < ii + block; i++)
                    for (long k = kk; k < kk + block; k++) {
                        double left = a[i * n + k];
                        for (long j = jj; j < jj + block; j++)
                            c[i * n + j] += left * b[k * n + j];
                    }
}

int main(int argc, char **argv)
{
    long n = atol(argv[2]);
    if (argv[1][0] == 'b')
        matmul_blocked(n, argc > 3 ? atol(argv[3]) : 16);
    else if (argv[1][1] == 'j')
        matmul_ijk(n);
    else
        matmul_ikj(n);
    return 0;
}
