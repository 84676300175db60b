/*
 * Learned eviction for the caches of an unmodified NGINX.
 *
 * The manager of every cache path is wrapped: ours first asks a sidecar which objects should leave, then calls NGINX's,
 * which finds nothing more to evict, or does so by LRU where the sidecar did not answer.  A handler of the log phase
 * keeps a table of what NGINX does not remember of its objects.
 */

#include "evictlab.h"

static evictlab_conf_t  *current;     /* of the cycle whose manager runs in this process */


/* In the log phase all is known of a request: whether it was a hit, what the origin took, until when it is fresh. */
static evictlab_kind_t
kind_of(ngx_http_request_t *r, ngx_uint_t *ignored)
{
    *ignored = 0;

    switch (r->upstream->cache_status) {

    case NGX_HTTP_CACHE_HIT:
    case NGX_HTTP_CACHE_STALE:
    case NGX_HTTP_CACHE_UPDATING:
    case NGX_HTTP_CACHE_REVALIDATED:
        return EVICTLAB_HIT;

    case NGX_HTTP_CACHE_EXPIRED:
        *ignored = !r->upstream->cacheable;
        return EVICTLAB_REFRESHED;

    case NGX_HTTP_CACHE_MISS:
        *ignored = !r->upstream->cacheable;
        return EVICTLAB_INSERTED;

    default:                            /* none, or BYPASS: not a request to the cache */
        *ignored = 1;
        return EVICTLAB_INSERTED;
    }
}


/* Seconds that the origin took, several attempts in sum; negative: it was not asked. */
static float
origin_s(ngx_http_request_t *r)
{
    float                       ms = EVICTLAB_MISSING;
    ngx_uint_t                  i;
    ngx_http_upstream_state_t  *state;

    if (r->upstream_states == NULL) {
        return EVICTLAB_MISSING;
    }

    state = r->upstream_states->elts;

    for (i = 0; i < r->upstream_states->nelts; i++) {
        if (state[i].response_time != (ngx_msec_t) -1) {
            ms = ngx_max(ms, 0) + (float) state[i].response_time;
        }
    }

    return ms < 0 ? EVICTLAB_MISSING : ms / 1000.0f;
}


/* Blocks of the file, of one just fetched by what was written; 0: not known. */
static uint64_t
blocks_of(ngx_http_request_t *r, ngx_http_file_cache_t *cache, evictlab_kind_t kind)
{
    ngx_event_pipe_t  *pipe = r->upstream->pipe;

    if (kind == EVICTLAB_HIT) {
        return (uint64_t) r->cache->fs_size;
    }

    if (pipe && pipe->temp_file && pipe->temp_file->offset > 0) {
        return ((uint64_t) pipe->temp_file->offset + cache->bsize - 1) / cache->bsize;
    }

    return 0;
}


static evictlab_wrapped_t *
wrapped_of(evictlab_conf_t *conf, ngx_http_file_cache_t *cache)
{
    ngx_uint_t           i;
    evictlab_wrapped_t  *wrapped = conf->wrapped.elts;

    for (i = 0; i < conf->wrapped.nelts; i++) {
        if (wrapped[i].cache == cache) {
            return &wrapped[i];
        }
    }

    return NULL;
}


static void
announce(evictlab_verdict_t verdict, ngx_http_file_cache_t *cache)
{
    if (verdict == EVICTLAB_GUARD_STOPS) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "evictlab: cache \"%V\": plain LRU would have hit more often; it takes over",
                      &cache->shm_zone->shm.name);

    } else if (verdict == EVICTLAB_GUARD_RESUMES) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "evictlab: cache \"%V\": the sidecar decides again",
                      &cache->shm_zone->shm.name);
    }
}


static ngx_int_t
log_handler(ngx_http_request_t *r)
{
    ngx_uint_t              ignored;
    evictlab_conf_t        *conf;
    evictlab_event_t        event;
    evictlab_noted_t        noted;
    evictlab_wrapped_t     *wrapped;
    evictlab_verdict_t      verdict = EVICTLAB_GUARD_SAME;
    ngx_http_file_cache_t  *cache;

    if (r->cache == NULL || r->upstream == NULL || r->cache->file_cache == NULL) {
        return NGX_OK;
    }

    event.kind = kind_of(r, &ignored);
    if (ignored) {
        return NGX_OK;
    }

    conf = ngx_http_get_module_main_conf(r, ngx_http_evictlab_module);
    cache = r->cache->file_cache;
    wrapped = wrapped_of(conf, cache);

    if (wrapped == NULL || wrapped->native) {
        return NGX_OK;
    }

    event.key = r->cache->key;
    event.cache = wrapped->number;
    event.now_us = evictlab_now_ns() / 1000;
    event.valid_sec = (int64_t) r->cache->valid_sec;
    event.origin_s = event.kind == EVICTLAB_HIT ? EVICTLAB_MISSING : origin_s(r);

    noted.key = event.key;
    noted.blocks = blocks_of(r, cache, event.kind);
    noted.resident = event.kind == EVICTLAB_HIT || event.kind == EVICTLAB_REFRESHED;
    noted.capacity = (uint64_t) cache->max_size;
    noted.inactive_s = (uint32_t) cache->inactive;
    noted.now_s = (uint32_t) (event.now_us / 1000000);

    evictlab_lock(conf->table);

    evictlab_table_note(conf->table, &event);

    if (conf->guard_window) {
        verdict = evictlab_guard_note(&conf->table->caches[event.cache].guard, &noted, conf->guard_window,
                                      conf->guard_margin, conf->mode == EVICTLAB_MODE_ON);
    }

    evictlab_unlock(conf->table);

    announce(verdict, cache);

    return NGX_OK;
}


static void
at_exit(void)
{
    if (current && current->table) {
        evictlab_last_words(current);
    }
}


/* In place of NGINX's manager of a cache path; runs in the process of the cache manager only. */
static ngx_msec_t
manager(void *data)
{
    ngx_msec_t              sleep = 0;
    evictlab_conf_t        *conf = current;
    evictlab_wrapped_t     *wrapped = wrapped_of(conf, data);
    static ngx_uint_t       farewell;

    if (wrapped == NULL) {
        return 10000;                       /* cannot be: ours is only where a cache was */
    }

    if (!farewell) {
        farewell = 1;
        (void) atexit(at_exit);             /* NGINX calls no module when this process ends */
    }

    if (wrapped->native) {
        return wrapped->manager(data);
    }

    if (conf->table) {
        sleep = evictlab_make_room(conf, wrapped);
    }

    if (sleep == 0) {
        sleep = wrapped->manager(data);
    }

    return conf->interval ? ngx_min(sleep, conf->interval) : sleep;
}


static ngx_uint_t
same_name(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
is_excepted(evictlab_conf_t *conf, const ngx_str_t *name)
{
    ngx_str_t   *except;
    ngx_uint_t   i;

    except = conf->except ? conf->except->elts : NULL;

    for (i = 0; except && i < conf->except->nelts; i++) {
        if (same_name(&except[i], name)) {
            return 1;
        }
    }

    return 0;
}


/* A name with a mistake in it would leave that cache to the sidecar, unnoticed. */
static void
check_excepted(ngx_cycle_t *cycle, evictlab_conf_t *conf)
{
    ngx_str_t           *except;
    ngx_uint_t           i, j;
    evictlab_wrapped_t  *wrapped = conf->wrapped.elts;

    except = conf->except ? conf->except->elts : NULL;

    for (i = 0; except && i < conf->except->nelts; i++) {
        for (j = 0; j < conf->wrapped.nelts; j++) {
            if (same_name(&except[i], &wrapped[j].cache->shm_zone->shm.name)) {
                break;
            }
        }

        if (j == conf->wrapped.nelts) {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0, "evictlab_except: there is no cache with keys_zone \"%V\"",
                          &except[i]);
        }
    }
}


/* The cache of a path, if it is one of NGINX's: then a zone of shared memory has the same data, and says so. */
static ngx_http_file_cache_t *
cache_of(ngx_cycle_t *cycle, ngx_path_t *path)
{
    ngx_uint_t              i;
    ngx_shm_zone_t         *zone;
    ngx_list_part_t        *part;
    ngx_http_file_cache_t  *cache = path->data;

    if (path->manager == NULL || cache == NULL) {
        return NULL;
    }

    for (part = &cycle->shared_memory.part; part; part = part->next) {
        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (zone[i].data == cache && cache->path == path && cache->shm_zone == &zone[i]) {
                return cache;
            }
        }
    }

    return NULL;
}


/* Runs in the master before it forks, at the start and at each reload, with new paths each time. */
static ngx_int_t
init_module(ngx_cycle_t *cycle)
{
    ngx_uint_t              i;
    ngx_path_t            **path;
    evictlab_conf_t        *conf;
    evictlab_wrapped_t     *wrapped;
    ngx_http_file_cache_t  *cache;

    conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_evictlab_module);

    if (conf == NULL || conf->set == 0) {
        current = NULL;
        return NGX_OK;
    }

    current = conf;
    path = cycle->paths.elts;

    for (i = 0; i < cycle->paths.nelts; i++) {
        cache = cache_of(cycle, path[i]);
        if (cache == NULL || path[i]->manager == manager) {
            continue;
        }

        wrapped = ngx_array_push(&conf->wrapped);
        if (wrapped == NULL) {
            return NGX_ERROR;
        }

        wrapped->cache = cache;
        wrapped->native = is_excepted(conf, &cache->shm_zone->shm.name);
        wrapped->number = EVICTLAB_CACHES;

        if (conf->table && !wrapped->native) {
            evictlab_lock(conf->table);
            wrapped->number = evictlab_table_cache(conf->table, &cache->shm_zone->shm.name);
            evictlab_unlock(conf->table);

            if (wrapped->number == EVICTLAB_CACHES) {
                ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                              "evictlab: more than %d caches since the start; \"%V\" is left to nginx",
                              EVICTLAB_CACHES, &cache->shm_zone->shm.name);
                wrapped->native = 1;
            }
        }

        wrapped->manager = path[i]->manager;
        path[i]->manager = manager;
    }

    check_excepted(cycle, conf);

    return NGX_OK;
}


static ngx_int_t
postconfiguration(ngx_conf_t *cf)
{
    evictlab_conf_t            *conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_evictlab_module);
    ngx_http_handler_pt        *handler;
    ngx_http_core_main_conf_t  *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (conf->zone == NULL) {
        return NGX_OK;
    }

    handler = ngx_array_push(&core->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = log_handler;

    return NGX_OK;
}


static ngx_http_module_t  context = {
    NULL,                        /* preconfiguration */
    postconfiguration,
    evictlab_create_conf,        /* of http */
    evictlab_init_conf,
    NULL,                        /* of servers */
    NULL,
    NULL,                        /* of locations */
    NULL
};


ngx_module_t  ngx_http_evictlab_module = {
    NGX_MODULE_V1,
    &context,
    evictlab_commands,
    NGX_HTTP_MODULE,
    NULL,                        /* init master */
    init_module,
    NULL,                        /* init process */
    NULL,                        /* init thread */
    NULL,                        /* exit thread */
    NULL,                        /* exit process */
    NULL,                        /* exit master */
    NGX_MODULE_V1_PADDING
};
