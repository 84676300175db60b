/* The sidecar: answers NGINX's requests for victims on a Unix socket, one packet each.
 *
 *     serve LIBRARY LISTENER CONTROL PARENT SHADOW
 *
 * LIBRARY is onnxruntime's. LISTENER and CONTROL are descriptors that the parent made: the socket that NGINX connects to, and
 * a connection to the parent (process number PARENT), which says "load FOLDER" once it has found a model to be sound, or
 * "refused", for the count; the answers are "loaded" and "failed WHY". SHADOW is 1 to reply that nothing is to be evicted.
 * A model is loaded in a thread, while the old one serves. SIGUSR1 prints the counters as a line of JSON, and so does the end:
 * SIGTERM, SIGINT, or the parent's. What has been asked by then is still answered. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "decide.h"
#include "model.h"

enum { MAX_CLIENTS = 256, EVENTS = 32, MAX_PENDING = 64 };

static const unsigned edges_us[] = {5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
enum { BINS = sizeof edges_us / sizeof *edges_us + 1 };

static struct {
    unsigned long requests, ok, malformed, mismatched, model_errors, shadow, victims, not_lru, wakes, connections, reloads,
        refusals;
    unsigned long latency[BINS];
    double latency_sum_us, latency_max_us;
} count;

static int poller, listener, control, clients[MAX_CLIENTS], n_clients;
static bool shadow;
static struct model *model;

/* What the loading thread leaves for the loop; it is through when it writes to the pipe. */
static struct {
    bool busy;
    char folder[4096], why[1024];
    struct model *made;
    int done[2];
} loading;

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void note_latency(double us)
{
    int bin = 0;
    while (bin < BINS - 1 && us > edges_us[bin])
        bin++;
    count.latency[bin]++;
    count.latency_sum_us += us;
    if (us > count.latency_max_us)
        count.latency_max_us = us;
}

static void print_counters(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"server\": \"c\", \"requests\": %lu, \"ok\": %lu, \"malformed\": %lu, \"mismatched\": %lu, \"model_errors\": %lu, "
           "\"shadow\": %lu, \"victims\": %lu, \"not_lru\": %lu, \"wakes\": %lu, \"clients\": %d, \"connections\": %lu, "
           "\"reloads\": %lu, \"reload_refusals\": %lu, \"cpu_s\": %.6f, \"latency_us\": {\"sum\": %.1f, \"max\": %.1f, \"edges\": [",
           count.requests, count.ok, count.malformed, count.mismatched, count.model_errors, count.shadow, count.victims,
           count.not_lru, count.wakes, n_clients, count.connections, count.reloads, count.refusals, cpu_s, count.latency_sum_us,
           count.latency_max_us);
    for (int i = 0; i < BINS - 1; i++)
        printf("%s%u", i ? ", " : "", edges_us[i]);
    printf("], \"counts\": [");
    for (int i = 0; i < BINS; i++)
        printf("%s%lu", i ? ", " : "", count.latency[i]);
    printf("]}}\n");
    fflush(stdout);
}

/* The reply to a packet. */
static struct reply answer(const struct request *request, size_t length)
{
    struct reply reply = {.magic = MAGIC, .version = VERSION};
    struct decision decision;
    int status = check_request(request, length, &reply.id);

    count.requests++;
    if (status == OK && request->k > most_candidates(model))
        status = MISMATCH;
    if (status == OK) {
        const float *q = run_model(model, request->k, request->context, request->candidates);
        status = q ? choose_victims(q, request, &decision) : FAILED;
    }
    reply.status = (uint16_t)status;
    if (status == OK) {
        count.ok++;
        count.shadow += shadow || request->flags & SHADOW;
        count.victims += decision.victims;
        count.not_lru += decision.not_lru;
        reply.mask = shadow ? 0 : decision.mask;
    }
    count.malformed += status == MALFORMED;
    count.mismatched += status == MISMATCH;
    count.model_errors += status == FAILED;
    return reply;
}

static void drop_client(int client)
{
    for (int i = 0; i < n_clients; i++)
        if (clients[i] == client)
            clients[i] = clients[--n_clients];
    close(client); /* which takes it out of the poller, too */
}

/* NGINX's manager is about to ask, after a pause in which the processor's caches have forgotten the model. If the question
 * is there already, answering it comes first. */
static void wake(int client)
{
    char byte;
    count.wakes++;
    if (recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
        warm_model(model);
}

/* Answer one packet of a client; false when there was none. A client that is gone, or does not read, is dropped. */
static bool serve_client(int client)
{
    static struct request request;
    ssize_t got = recv(client, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC); /* the length that was sent */
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        drop_client(client);
        return false;
    }
    if (is_wake(&request, (size_t)got)) {
        wake(client);
        return true;
    }
    double start_us = now_us();
    struct reply reply = answer(&request, (size_t)got);
    if (send(client, &reply, sizeof reply, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof reply) {
        drop_client(client);
        return false;
    }
    note_latency(now_us() - start_us);
    return true;
}

static void watch(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event)) {
        perror("epoll_ctl");
        exit(1);
    }
}

static void accept_client(void)
{
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0)
        return;
    if (n_clients == MAX_CLIENTS) {
        close(client);
        return;
    }
    clients[n_clients++] = client;
    count.connections++;
    watch(client);
}

static void *load(void *unused)
{
    loading.made = load_model(loading.folder, loading.why, sizeof loading.why);
    ssize_t written = write(loading.done[1], "", 1);
    (void)written;
    return unused;
}

static void tell_parent(const char *word, const char *why)
{
    char text[1100];
    int length = snprintf(text, sizeof text, *why ? "%s %s" : "%s", word, why);
    send(control, text, (size_t)length, MSG_NOSIGNAL);
}

static void finish_loading(void)
{
    char byte;
    ssize_t got = read(loading.done[0], &byte, 1);
    (void)got;
    loading.busy = false;
    if (!loading.made) {
        count.refusals += model != NULL;
        tell_parent("failed", loading.why);
        return;
    }
    if (model)
        count.reloads++;
    else
        watch(listener); /* who connected before has waited until now */
    free_model(model);
    model = loading.made;
    tell_parent("loaded", "");
}

/* Do as the parent says; false when it is gone. */
static bool obey(void)
{
    char text[sizeof loading.folder];
    pthread_t thread;
    ssize_t got = recv(control, text, sizeof text - 1, 0);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    text[got] = 0;
    if (!strcmp(text, "refused"))
        count.refusals++;
    if (strncmp(text, "load ", 5))
        return true;
    if (loading.busy) {
        tell_parent("failed", "another model is being loaded");
        return true;
    }
    snprintf(loading.folder, sizeof loading.folder, "%s", text + 5);
    loading.busy = true;
    if (pthread_create(&thread, NULL, load, NULL))
        load(NULL);
    else
        pthread_detach(thread);
    return true;
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

/* Whether to go on after a signal. SIGHUP is the parent's affair. */
static bool heed_signal(int signals)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo == SIGHUP)
        return true;
    if (info.ssi_signo == SIGUSR1) {
        print_counters();
        return true;
    }
    return false;
}

static void answer_what_is_pending(void)
{
    for (int i = n_clients - 1; i >= 0; i--)
        for (int left = MAX_PENDING; left && serve_client(clients[i]); left--)
            ;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    char why[1024];

    if (argc != 6) {
        fprintf(stderr, "serve is started by: evictlab sidecar serve\n");
        return 2;
    }
    int signals = open_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != atoi(argv[4])) /* it died before we could ask to be told */
        return 0;
    if (!open_library(argv[1], why, sizeof why)) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    listener = atoi(argv[2]);
    control = atoi(argv[3]);
    shadow = atoi(argv[5]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0 || signals < 0 || pipe(loading.done)) {
        perror("serve");
        return 1;
    }
    watch(signals);
    watch(control);
    watch(loading.done[0]);

    for (bool running = true; running;) {
        int n = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int ready = events[i].data.fd;
            if (ready == signals)
                running &= heed_signal(signals);
            else if (ready == control)
                running &= obey();
            else if (ready == loading.done[0])
                finish_loading();
            else if (ready == listener)
                accept_client();
            else
                serve_client(ready);
        }
    }
    answer_what_is_pending();
    print_counters();
    return 0;
}
