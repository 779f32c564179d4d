/* Sum n entries of a table of 32-bit values, at hashed or at consecutive places.
   Arguments: order (hashed or sequential), log2 of the table's entries (at most 20), n. */
#include <stdlib.h>

unsigned table[1 << 20] __attribute__((aligned(4096)));
volatile unsigned sink;

__attribute__((noinline)) unsigned gather_hashed(long n, int shift)
{
    unsigned sum = 0;
    for (unsigned long i = 0; i < (unsigned long)n; i++)
        sum += table[(i * 11400714819323198485ul) >> shift];
    return sum;
}

__attribute__((noinline)) unsigned gather_sequential(long n, unsigned long mask)
{
    unsigned sum = 0;
    for (unsigned long i = 0; i < (unsigned long)n; i++)
        sum += table[i & mask];
    return sum;
}

int main(int argc, char **argv)
{
    (void)argc;
    int bits = atoi(argv[2]);
    long n = atol(argv[3]);
    sink = argv[1][0] == 'h' ? gather_hashed(n, 64 - bits)
                             : gather_sequential(n, (1ul << bits) - 1);
    return 0;
}
