/* Round trips to a sidecar, one after the other, as NGINX's cache manager makes them: send, ppoll, receive. After a pause it
 * is woken first, as the module does (evictlab_wake).
 *
 *     bench SOCKET BYTES ROUNDS WARM_UP GAP_US < packets > nanoseconds
 *
 * Standard input holds requests of BYTES each, which are sent in turn, with ids of our own. Standard output gets the time of
 * each of the ROUNDS as an unsigned 32-bit number; those of WARM_UP come before and are not told. */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "wire.h"

enum { PATIENCE_S = 5, WAKING_NS = 300000 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "not what was expected");
    return 1;
}

int main(int argc, char **argv)
{
    static struct request requests[256];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timespec moment = {0, WAKING_NS};
    const struct request wake = {
        .magic = MAGIC, .version = VERSION, .flags = WAKE, .features = FEATURES, .context_size = CONTEXT};
    struct reply reply;

    if (argc != 6)
        return fail("arguments");
    size_t bytes = strtoul(argv[2], NULL, 10), n = 0;
    long rounds = atol(argv[3]), warm_up = atol(argv[4]), gap_ns = atol(argv[5]) * 1000;
    if (bytes < REQUEST_HEAD || bytes > sizeof *requests)
        return fail("bytes of a request");
    while (n < sizeof requests / sizeof *requests && fread(&requests[n], bytes, 1, stdin) == 1)
        n++;
    uint32_t *took_ns = calloc((size_t)rounds + 1, sizeof *took_ns);
    if (!n || !took_ns)
        return fail("requests");

    int server = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address))
        return fail(argv[1]);

    for (long i = -warm_up; i < rounds; i++) {
        struct request *request = &requests[(size_t)(i + warm_up) % n];
        struct timespec patience = {PATIENCE_S, 0}, gap = {gap_ns / 1000000000, gap_ns % 1000000000};
        struct pollfd ready = {.fd = server, .events = POLLIN};
        if (gap_ns) {
            nanosleep(&gap, NULL);
            if (send(server, &wake, WAKE_BYTES, MSG_NOSIGNAL) < 0)
                return fail(argv[1]);
            nanosleep(&moment, NULL);
        }
        request->id = (uint64_t)(i + warm_up + 1);
        errno = 0;
        int64_t start_ns = now_ns();
        if (send(server, request, bytes, MSG_NOSIGNAL) < 0 || ppoll(&ready, 1, &patience, NULL) != 1 ||
            recv(server, &reply, sizeof reply, 0) != sizeof reply)
            return fail("reply");
        int64_t stop_ns = now_ns();
        if (reply.magic != MAGIC || reply.id != request->id)
            return fail("reply");
        if (reply.status != OK) {
            fprintf(stderr, "%s\n", reply.status == MISMATCH ? "the model does not take so many candidates" : "the model failed");
            return 1;
        }
        if (i >= 0)
            took_ns[i] = (uint32_t)(stop_ns - start_ns);
    }
    return fwrite(took_ns, sizeof *took_ns, (size_t)rounds, stdout) == (size_t)rounds ? 0 : fail("output");
}
