/* Sum the bytes that are 128 or more, with a branch for each.
   Arguments: order (random or sorted), n (at most 1048576), passes. */
#include <stdlib.h>

#define MOST 1048576
unsigned char data[MOST] __attribute__((aligned(4096)));
volatile long sink;

__attribute__((noinline)) long branchy(long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++)
        if (data[i] >= 128)
            sum += data[i];
    return sum;
}

int main(int argc, char **argv)
{
    (void)argc;
    long n = atol(argv[2]), passes = atol(argv[3]), seen[256] = {0}, at = 0;
    unsigned long state = 1;
    for (long i = 0; i < n; i++) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        data[i] = (unsigned char)(state >> 56);
        seen[data[i]]++;
    }
    if (argv[1][0] == 's')
        for (long value = 0; value < 256; value++)
            while (seen[value]-- > 0)
                data[at++] = (unsigned char)value;
    for (long pass = 0; pass < passes; pass++)
        sink = branchy(n);
    return 0;
}
