/* The recurrences of syslab.queueing, written in C: what they are measured against.
 *
 *     gcc -O3 -march=native -shared -fPIC queue_recurrence.c -o queue_recurrence.so
 */

/* One queue before `servers` servers: start = max(arrival, the earliest free server). */
void one_queue(long n, int servers, const double *arrival_s, const double *service_s,
               double *free_at_s, double *start_s, int *server)
{
    if (servers == 1) {
        double free_s = 0.0;
        for (long i = 0; i < n; i++) {
            double begin = arrival_s[i] > free_s ? arrival_s[i] : free_s;
            start_s[i] = begin;
            server[i] = 0;
            free_s = begin + service_s[i];
        }
        return;
    }
    for (long i = 0; i < n; i++) {
        int chosen = 0;
        double earliest = free_at_s[0];
        for (int s = 1; s < servers; s++)
            if (free_at_s[s] < earliest) {
                earliest = free_at_s[s];
                chosen = s;
            }
        double begin = arrival_s[i] > earliest ? arrival_s[i] : earliest;
        start_s[i] = begin;
        server[i] = chosen;
        free_at_s[chosen] = begin + service_s[i];
    }
}

/* `leaves` queues fed by the same arrivals; `last` is the leaf that ends last. */
void fan_out(long n, int leaves, const double *arrival_s, const double *service_s,
             double *free_at_s, double *start_s, int *server, long *last)
{
    for (long i = 0; i < n; i++) {
        double latest = -1.0;
        long straggler = 0;
        for (int j = 0; j < leaves; j++) {
            double begin = arrival_s[i] > free_at_s[j] ? arrival_s[i] : free_at_s[j];
            double finish = begin + service_s[i * leaves + j];
            start_s[i * leaves + j] = begin;
            server[i * leaves + j] = j;
            free_at_s[j] = finish;
            if (finish > latest) {
                latest = finish;
                straggler = j;
            }
        }
        last[i] = straggler;
    }
}
