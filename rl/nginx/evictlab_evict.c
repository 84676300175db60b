/*
 * The loop of the cache manager: while the cache is too large, ask the sidecar which of the candidates should leave.
 *
 * Whatever goes wrong ends the loop, and then NGINX's own manager finds the cache too large and does as it always did.
 */

#include "evictlab.h"

/* Late answers in a round before NGINX goes on by itself: on a busy machine one is late now and then. */
#define LATE_AT_MOST  3

typedef struct {
    ngx_uint_t  some;        /* something is to be evicted */
    ngx_uint_t  native;      /* ... but what leaves first is NGINX's to say */
    off_t       need;        /* bytes */
    ngx_uint_t  residents;
    off_t       capacity;    /* bytes */
} pressure_t;

static evictlab_client_t  client = { -1, 0, 0, 0, 0 };   /* of this process */


/* The same test as NGINX's manager makes. */
static pressure_t
pressure_of(ngx_http_file_cache_t *cache)
{
    off_t                        size, spare;
    ngx_uint_t                   full;
    pressure_t                   pressure;
    ngx_queue_t                 *q;
    ngx_http_file_cache_node_t  *oldest;

    ngx_memzero(&pressure, sizeof(pressure));

    ngx_shmtx_lock(&cache->shpool->mutex);

    size = cache->sh->size;
    full = cache->sh->count >= cache->sh->watermark;
    pressure.residents = cache->sh->count;

    if (!ngx_queue_empty(&cache->sh->queue)) {
        q = ngx_queue_last(&cache->sh->queue);
        oldest = ngx_queue_data(q, ngx_http_file_cache_node_t, queue);

        /*
         * An object that nobody asked for within `inactive` leaves anyway.  And where the memory for keys is short, a
         * key without a file (asked for less often than min_uses) must not outlive the objects.
         */
        pressure.native = oldest->expire <= ngx_time() || (size < cache->max_size && !oldest->exists);
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);

    pressure.capacity = cache->max_size * (off_t) cache->bsize;

    if (size >= cache->max_size) {
        pressure.some = 1;
        pressure.need = (size - cache->max_size + 1) * (off_t) cache->bsize;

    } else if (full) {
        pressure.some = 1;
        pressure.need = (off_t) cache->bsize;

    } else if (cache->min_free) {
        spare = ngx_fs_available(cache->path->name.data);

        if (spare <= cache->min_free) {
            pressure.some = 1;
            pressure.need = ngx_max(cache->min_free - spare, (off_t) cache->bsize);
        }
    }

    return pressure;
}


/*
 * Removes an object as NGINX does, in the same order; its lock is held, and given up while the file is deleted.
 *
 * Somebody may ask for it in that moment.  NGINX then leaves the node as if its file was there and counted: when it is
 * stored again, its size is not added, and the cache grows beyond max_size by that much for good.  LRU hardly ever
 * evicts what is just being asked for, but a policy may: so here the node says that it has no bytes, and if it has some
 * again when the lock is back, then the object has been stored anew, and stays.
 */
static void
delete_node(ngx_http_file_cache_t *cache, ngx_http_file_cache_node_t *node, u_char *name)
{
    size_t       length;
    u_char      *p;
    ngx_path_t  *path = cache->path;

    cache->sh->size -= node->fs_size;
    node->fs_size = 0;

    length = path->name.len + 1 + path->len + 2 * NGX_HTTP_CACHE_KEY_LEN;
    ngx_memcpy(name, path->name.data, path->name.len);
    p = name + path->name.len + 1 + path->len;
    p = ngx_hex_dump(p, (u_char *) &node->node.key, sizeof(ngx_rbtree_key_t));
    p = ngx_hex_dump(p, node->key, sizeof(node->key));
    *p = '\0';

    node->count++;
    node->deleting = 1;
    ngx_shmtx_unlock(&cache->shpool->mutex);

    ngx_create_hashed_filename(path, name, length);

    if (ngx_delete_file(name) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno, ngx_delete_file_n " \"%s\" failed", name);
    }

    ngx_shmtx_lock(&cache->shpool->mutex);
    node->count--;
    node->deleting = 0;

    if (node->fs_size > 0) {
        return;
    }

    if (node->count == 0) {
        ngx_queue_remove(&node->queue);
        ngx_rbtree_delete(&cache->sh->rbtree, &node->node);
        ngx_slab_free_locked(cache->shpool, node);
        cache->sh->count--;

    } else if (!cache->sh->cold) {
        node->exists = 0;       /* before the loader has run, who still has the file open would count it again */
    }
}


/* Evicts the candidates of the mask that are still as they were; returns how many. */
static ngx_uint_t
evict(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped, evictlab_candidate_t *candidates, ngx_uint_t n,
    uint64_t mask)
{
    u_char                      *name;
    uint64_t                     left = 0;
    ngx_uint_t                   i, victims = 0;
    ngx_http_file_cache_t       *cache = wrapped->cache;
    ngx_http_file_cache_node_t  *node;
    evictlab_counters_t         *counters = &conf->table->counters;

    name = ngx_alloc(cache->path->name.len + 1 + cache->path->len + 2 * NGX_HTTP_CACHE_KEY_LEN + 1, ngx_cycle->log);
    if (name == NULL) {
        return 0;
    }

    ngx_shmtx_lock(&cache->shpool->mutex);

    for (i = 0; i < n; i++) {
        if (!(mask >> i & 1)) {
            continue;
        }

        evictlab_count(&counters->named, 1);
        node = evictlab_lookup(cache, candidates[i].key);

        if (node == NULL || !node->exists) {
            evictlab_count(&counters->gone, 1);
            left |= 1ULL << i;

        } else if (node->count || node->deleting) {
            evictlab_count(&counters->busy, 1);

        } else if (node->expire != candidates[i].expire || node->uses != candidates[i].uses
                   || node->uniq != candidates[i].uniq)
        {
            evictlab_count(&counters->touched, 1);

        } else {
            evictlab_count(&counters->victims, 1);
            evictlab_count(&counters->victim_bytes, (ngx_atomic_int_t) (node->fs_size * (off_t) cache->bsize));
            delete_node(cache, node, name);
            left |= 1ULL << i;
            victims++;
        }
    }

    ngx_shmtx_unlock(&cache->shpool->mutex);
    ngx_free(name);

    evictlab_lock(conf->table);

    for (i = 0; i < n; i++) {
        if (left >> i & 1) {
            evictlab_table_left(conf->table, wrapped->number, candidates[i].key);
        }
    }

    evictlab_unlock(conf->table);

    return victims;
}


/* Adds what the client has counted since it was last asked. */
static void
count_client(evictlab_counters_t *counters)
{
    static uint64_t  connects, stale;

    evictlab_count(&counters->connects, (ngx_atomic_int_t) (client.connects - connects));
    evictlab_count(&counters->stale, (ngx_atomic_int_t) (client.stale - stale));
    connects = client.connects;
    stale = client.stale;
}


static evictlab_answer_t
ask(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped, const pressure_t *pressure, evictlab_candidate_t *candidates,
    ngx_uint_t n, uint64_t *mask)
{
    uint64_t                    took_ns;
    ngx_uint_t                  i;
    evictlab_answer_t           answer;
    evictlab_counters_t        *counters = &conf->table->counters;
    static evictlab_request_t   request;

    request.flags = conf->mode == EVICTLAB_MODE_SHADOW ? EVICTLAB_SHADOW : 0;
    request.k = (uint16_t) n;
    request.cache[EVICTLAB_PACE_S] = (float) conf->table->caches[wrapped->number].pace_s;
    request.cache[EVICTLAB_CAPACITY_BYTES] = (float) pressure->capacity;
    request.cache[EVICTLAB_RESIDENTS] = (float) pressure->residents;
    request.cache[EVICTLAB_NEED_BYTES] = (float) pressure->need;

    for (i = 0; i < n; i++) {
        ngx_memcpy(request.candidates[i], candidates[i].features, sizeof(request.candidates[i]));
    }

    answer = evictlab_ask(&client, &conf->sidecar, &request, conf->timeout_ns, mask, &took_ns);

    count_client(counters);

    if (answer == EVICTLAB_ABSENT) {
        return answer;
    }

    evictlab_count(&counters->asked, 1);
    evictlab_count(&counters->shadow, conf->mode == EVICTLAB_MODE_SHADOW);
    evictlab_count(&counters->candidates, (ngx_atomic_int_t) n);
    evictlab_count(answer == EVICTLAB_ANSWERED ? &counters->ok
                   : answer == EVICTLAB_EMPTY ? &counters->empty
                   : answer == EVICTLAB_LATE ? &counters->late : &counters->failed, 1);
    evictlab_count_took(counters, took_ns);

    return answer;
}


static ngx_uint_t
guarded(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped)
{
    return conf->mode == EVICTLAB_MODE_ON && conf->table->caches[wrapped->number].guard.native;
}


ngx_msec_t
evictlab_make_room(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped)
{
    uint64_t               mask, end_ns;
    ngx_uint_t             n, victims, files = 0, late = 0;
    pressure_t             pressure;
    evictlab_answer_t      answer;
    ngx_http_file_cache_t *cache = wrapped->cache;
    evictlab_counters_t   *counters = &conf->table->counters;
    ngx_atomic_t          *fallback[] = {
        NULL, &counters->fallback_empty, &counters->fallback_late, &counters->fallback_failed,
        &counters->fallback_absent
    };
    static evictlab_candidate_t  candidates[EVICTLAB_MAX_K];

    pressure = pressure_of(cache);
    if (!pressure.some) {
        return 0;
    }

    evictlab_count(&counters->rounds, 1);
    end_ns = evictlab_now_ns() + cache->manager_threshold * 1000000ULL;

    if (!pressure.native && !guarded(conf, wrapped)) {
        evictlab_wake(&client, &conf->sidecar);
        count_client(counters);
    }

    for ( ;; ) {
        if (pressure.native) {
            evictlab_count(&counters->fallback_native, 1);
            return 0;
        }

        if (guarded(conf, wrapped)) {
            evictlab_count(&counters->fallback_guard, 1);
            return 0;
        }

        n = evictlab_gather(conf, wrapped, candidates);
        if (n == 0) {
            evictlab_count(&counters->fallback_none, 1);
            return 0;
        }

        answer = ask(conf, wrapped, &pressure, candidates, n, &mask);

        if (answer == EVICTLAB_LATE && ++late < LATE_AT_MOST && evictlab_now_ns() <= end_ns) {
            continue;
        }

        if (answer != EVICTLAB_ANSWERED) {
            evictlab_count(fallback[answer], 1);
            return 0;
        }

        if (conf->mode == EVICTLAB_MODE_SHADOW) {
            evictlab_count(&counters->fallback_shadow, 1);
            return 0;
        }

        victims = evict(conf, wrapped, candidates, n, mask);
        files += victims;

        if (victims == 0) {
            evictlab_count(&counters->fallback_none, 1);
            return 0;
        }

        pressure = pressure_of(cache);

        if (!pressure.some) {
            evictlab_count(&counters->done, 1);
            return 0;
        }

        if (ngx_quit || ngx_terminate || files >= cache->manager_files) {
            evictlab_count(&counters->paused, 1);
            return cache->manager_sleep;
        }

        if (evictlab_now_ns() > end_ns) {
            evictlab_count(&counters->fallback_slow, 1);
            return 0;
        }

        ngx_time_update();
    }
}


void
evictlab_last_words(evictlab_conf_t *conf)
{
    evictlab_counters_t  *c = &conf->table->counters;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "evictlab: asked %uA, ok %uA, empty %uA, late %uA, failed %uA; victims %uA; rounds %uA, "
                  "done %uA, paused %uA; round trip p50 %uLus, p95 %uLus, p99 %uLus",
                  c->asked, c->ok, c->empty, c->late, c->failed, c->victims, c->rounds, c->done, c->paused,
                  evictlab_took_us(c, 0.5), evictlab_took_us(c, 0.95), evictlab_took_us(c, 0.99));
}
