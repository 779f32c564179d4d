/* Dot product with one running sum and with four: the same work, another dependency chain.
   Arguments: sums (1 or 4), n (a multiple of 16, at most 1048576). */
#include <stdlib.h>

#define MOST 1048576
typedef double four __attribute__((vector_size(32)));
four x[MOST / 4] __attribute__((aligned(4096)));
four y[MOST / 4] __attribute__((aligned(4096)));
volatile double sink;

__attribute__((noinline)) double dot_one_sum(long n)
{
    four sum = {0};
    for (long i = 0; i < n / 4; i++)
        sum += x[i] * y[i];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

__attribute__((noinline)) double dot_four_sums(long n)
{
    four s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (long i = 0; i < n / 4; i += 4) {
        s0 += x[i] * y[i];
        s1 += x[i + 1] * y[i + 1];
        s2 += x[i + 2] * y[i + 2];
        s3 += x[i + 3] * y[i + 3];
    }
    s0 += s1 + s2 + s3;
    return s0[0] + s0[1] + s0[2] + s0[3];
}

int main(int argc, char **argv)
{
    (void)argc;
    long n = atol(argv[2]);
    sink = argv[1][0] == '1' ? dot_one_sum(n) : dot_four_sums(n);
    return 0;
}
