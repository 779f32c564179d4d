/* Follow a ring of 64-byte nodes; each load needs the one before.
   Arguments: order (sequential or random), nodes (at most 262144), steps. */
#include <stdlib.h>

#define MOST 262144
struct node { struct node *next; long pad[7]; };
static struct node ring[MOST] __attribute__((aligned(4096)));
static int order[MOST];
struct node *volatile sink;

__attribute__((noinline)) struct node *chase(struct node *at, long steps)
{
    for (long i = 0; i < steps; i++)
        at = at->next;
    return at;
}

int main(int argc, char **argv)
{
    (void)argc;
    long nodes = atol(argv[2]);
    unsigned long state = 1;
    for (long i = 0; i < nodes; i++)
        order[i] = (int)i;
    if (argv[1][0] == 'r')
        for (long i = nodes - 1; i > 0; i--) {
            state = state * 6364136223846793005ul + 1442695040888963407ul;
            long j = (long)((state >> 33) % (unsigned long)(i + 1));
            int swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
    for (long i = 0; i < nodes; i++)
        ring[order[i]].next = &ring[order[(i + 1) % nodes]];
    sink = chase(&ring[0], atol(argv[3]));
    return 0;
}
