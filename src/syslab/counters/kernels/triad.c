/* a[i] = b[i] + 3 c[i] over n doubles, four at a time.
   Argument: n (a multiple of 4, at most 1048576). */
#include <stdlib.h>

#define MOST 1048576
typedef double four __attribute__((vector_size(32)));
four a[MOST / 4] __attribute__((aligned(4096)));
four b[MOST / 4] __attribute__((aligned(4096)));
four c[MOST / 4] __attribute__((aligned(4096)));

__attribute__((noinline)) void triad(long n)
{
    for (long i = 0; i < n / 4; i++)
        a[i] = b[i] + 3.0 * c[i];
}

int main(int argc, char **argv)
{
    (void)argc;
    triad(atol(argv[1]));
    return 0;
}
