/*
 * The client of the sidecar.
 *
 * It never blocks longer than its deadline: connecting and sending do not wait, and for the answer it waits with ppoll,
 * whose clock is fine enough, unlike those of poll and SO_RCVTIMEO.  A packet socket keeps messages apart; an answer
 * that comes too late is known by its number and dropped.
 */

#include "evictlab_ask.h"       /* first: nginx decides what the system's headers declare, ppoll among it */

#include <poll.h>
#include <sys/un.h>

#define RETRY_NS  1000000000ULL     /* it tries to connect at most once per second */
#define WAKING_NS  300000L          /* what a sidecar needs to run its model with cold caches */


uint64_t
evictlab_now_ns(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000000ULL + (uint64_t) now.tv_nsec;
}


static void
hang_up(evictlab_client_t *client)
{
    (void) close(client->fd);
    client->fd = -1;
}


static ngx_int_t
connected(evictlab_client_t *client, const ngx_str_t *path)
{
    int                 fd;
    uint64_t            now;
    struct sockaddr_un  address;

    if (client->fd != -1) {
        return NGX_OK;
    }

    now = evictlab_now_ns();

    if (client->tried_ns && now - client->tried_ns < RETRY_NS) {
        return NGX_DECLINED;
    }

    client->tried_ns = now;

    fd = socket(AF_UNIX, SOCK_SEQPACKET|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return NGX_DECLINED;
    }

    ngx_memzero(&address, sizeof(address));
    address.sun_family = AF_UNIX;
    ngx_memcpy(address.sun_path, path->data, path->len);

    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == -1) {
        (void) close(fd);
        return NGX_DECLINED;
    }

    client->fd = fd;
    client->connects++;

    return NGX_OK;
}


/* One packet, if there is one: its bytes, 0 if the sidecar has hung up (or we have), -1 if there is none. */
static ssize_t
receive(evictlab_client_t *client, evictlab_reply_t *reply)
{
    ssize_t  n;

    do {
        n = recv(client->fd, reply, sizeof(*reply), MSG_DONTWAIT|MSG_TRUNC);
    } while (n == -1 && errno == EINTR);

    if (n == -1 && errno == EAGAIN) {
        return -1;
    }

    if (n <= 0) {
        hang_up(client);
        return 0;
    }

    return n;
}


static ngx_uint_t
is_reply(const evictlab_reply_t *reply, ssize_t n)
{
    return n == sizeof(*reply) && reply->magic == EVICTLAB_MAGIC && reply->version == EVICTLAB_VERSION;
}


/* Drops what came too late; NGX_ERROR if the sidecar has hung up meanwhile. */
static ngx_int_t
drain(evictlab_client_t *client)
{
    ssize_t           n;
    evictlab_reply_t  reply;

    while ((n = receive(client, &reply)) > 0) {
        client->stale++;
    }

    return n == 0 ? NGX_ERROR : NGX_OK;
}


static evictlab_answer_t
wait_for(evictlab_client_t *client, const evictlab_request_t *request, uint64_t start_ns, uint64_t timeout_ns,
    uint64_t *mask)
{
    int                ready;
    ssize_t            n;
    uint64_t           elapsed;
    struct pollfd      event;
    struct timespec    left;
    evictlab_reply_t   reply;

    for ( ;; ) {
        elapsed = evictlab_now_ns() - start_ns;
        if (elapsed >= timeout_ns) {
            return EVICTLAB_LATE;
        }

        left.tv_sec = (time_t) ((timeout_ns - elapsed) / 1000000000ULL);
        left.tv_nsec = (long) ((timeout_ns - elapsed) % 1000000000ULL);
        event.fd = client->fd;
        event.events = POLLIN;
        event.revents = 0;

        ready = ppoll(&event, 1, &left, NULL);

        if (ready == -1 && errno != EINTR) {
            hang_up(client);
            return EVICTLAB_FAILED;
        }

        if (ready <= 0) {
            continue;
        }

        n = receive(client, &reply);

        if (n == 0) {
            return EVICTLAB_FAILED;
        }

        if (n == -1) {
            continue;
        }

        if (!is_reply(&reply, n)) {
            hang_up(client);            /* whoever that is speaks another language */
            return EVICTLAB_FAILED;
        }

        if (reply.id != request->id) {
            client->stale++;
            continue;
        }

        /* This process may have slept past the deadline with the answer at hand: by now it is old. */
        if (evictlab_now_ns() - start_ns > timeout_ns) {
            return EVICTLAB_LATE;
        }

        if (reply.status != 0) {
            return EVICTLAB_FAILED;
        }

        *mask = reply.mask;

        if (request->k < 64 && reply.mask >> request->k) {
            return EVICTLAB_FAILED;     /* it names candidates that there are not */
        }

        return reply.mask ? EVICTLAB_ANSWERED : EVICTLAB_EMPTY;
    }
}


/* A sidecar that was started anew is found at once, not after one failed question: hence twice. */
static ngx_int_t
reach(evictlab_client_t *client, const ngx_str_t *path)
{
    ngx_uint_t  again;

    for (again = 0; again < 2; again++) {
        if (connected(client, path) != NGX_OK) {
            return NGX_DECLINED;
        }

        if (drain(client) == NGX_OK) {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


static ssize_t
send_packet(evictlab_client_t *client, evictlab_request_t *request)
{
    size_t   size = offsetof(evictlab_request_t, candidates) + request->k * sizeof(request->candidates[0]);
    ssize_t  sent;

    request->magic = EVICTLAB_MAGIC;
    request->version = EVICTLAB_VERSION;
    request->features = EVICTLAB_FEATURES;
    request->context = EVICTLAB_CONTEXT;
    request->reserved = 0;

    do {
        sent = send(client->fd, request, size, MSG_DONTWAIT|MSG_NOSIGNAL);
    } while (sent == -1 && errno == EINTR);

    if (sent == -1 && errno != EAGAIN) {
        hang_up(client);
    }

    return sent;
}


void
evictlab_wake(evictlab_client_t *client, const ngx_str_t *path)
{
    struct timespec     moment = { 0, WAKING_NS };
    evictlab_request_t  request;

    if (reach(client, path) != NGX_OK) {
        return;
    }

    request.flags = EVICTLAB_WAKE;
    request.id = 0;
    request.k = 0;
    ngx_memzero(request.cache, sizeof(request.cache));

    if (send_packet(client, &request) > 0) {
        (void) nanosleep(&moment, NULL);
    }
}


evictlab_answer_t
evictlab_ask(evictlab_client_t *client, const ngx_str_t *path, evictlab_request_t *request, uint64_t timeout_ns,
    uint64_t *mask, uint64_t *took_ns)
{
    ssize_t            sent;
    uint64_t           start_ns;
    evictlab_answer_t  answer;

    *mask = 0;
    *took_ns = 0;

    if (reach(client, path) != NGX_OK) {
        return EVICTLAB_ABSENT;
    }

    request->id = ++client->id;
    start_ns = evictlab_now_ns();
    sent = send_packet(client, request);

    if (sent > 0) {                     /* a packet goes whole or not at all */
        answer = wait_for(client, request, start_ns, timeout_ns, mask);

    } else {                            /* still connected: it has not read what it was asked before */
        answer = client->fd == -1 ? EVICTLAB_FAILED : EVICTLAB_LATE;
    }

    *took_ns = evictlab_now_ns() - start_ns;

    return answer;
}
