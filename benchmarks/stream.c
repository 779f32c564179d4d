/* Triad a = b + s*c, the bandwidth kernel of STREAM, as plain C with OpenMP.
 *
 *   gcc -O3 -march=native -fopenmp stream.c -o stream
 *   ./stream ELEMENTS TRIALS      (doubles per array; trials)
 *
 * Prints the seconds of each trial on one line, and checks the result. Arrays are first touched
 * by the threads that use them. Bytes are counted by the reader: 24 per element.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    const long n = argc > 1 ? atol(argv[1]) : 0;
    const int trials = argc > 2 ? atoi(argv[2]) : 0;
    if (n < 1 || trials < 1) {
        fprintf(stderr, "usage: stream ELEMENTS TRIALS\n");
        return 2;
    }
    const size_t bytes = (((size_t)n * sizeof(double)) + 4095) / 4096 * 4096;
    double *restrict a = aligned_alloc(4096, bytes);
    double *restrict b = aligned_alloc(4096, bytes);
    double *restrict c = aligned_alloc(4096, bytes);
    if (!a || !b || !c) {
        fprintf(stderr, "stream: no memory for 3 arrays of %zu bytes\n", bytes);
        return 1;
    }
#pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) {
        a[i] = 0.0;
        b[i] = 1.0;
        c[i] = 2.0;
    }
    for (int trial = 0; trial < trials; trial++) {
        const double scale = 3.0 + trial;
        const double start = omp_get_wtime();
#pragma omp parallel for schedule(static)
        for (long i = 0; i < n; i++) a[i] = b[i] + scale * c[i];
        printf("%.9f ", omp_get_wtime() - start);
        const double expected = 1.0 + scale * 2.0;
        if (fabs(a[0] - expected) > 1e-9 || fabs(a[n - 1] - expected) > 1e-9) {
            fprintf(stderr, "stream: wrong result in trial %d\n", trial);
            return 1;
        }
    }
    printf("\n");
    return 0;
}
