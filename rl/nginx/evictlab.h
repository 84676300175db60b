/* What the files of the module share: its configuration, and which of them does what. */

#ifndef EVICTLAB_H
#define EVICTLAB_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "evictlab_ask.h"
#include "evictlab_table.h"
#include "evictlab_wire.h"

#if !(NGX_HTTP_CACHE)
#error "evictlab: this nginx is built without a cache (--without-http-cache)"
#endif

/* It reads structures of NGINX's cache, and deletes as NGINX does: 1.22.1 is what that was tested with. */
#if (nginx_version < 1022000)
#error "evictlab: this nginx is older than 1.22.0; its cache has not been tested with the module"
#elif (nginx_version > 1022001 && !defined(EVICTLAB_UNTESTED))
#error "evictlab: tested with nginx 1.22 only; compile with -DEVICTLAB_UNTESTED after a look at ngx_http_file_cache.c"
#endif

_Static_assert(NGX_HTTP_CACHE_KEY_LEN == EVICTLAB_KEY, "a key of the cache has 16 bytes");
_Static_assert(sizeof(((ngx_http_file_cache_node_t *) 0)->key) + sizeof(ngx_rbtree_key_t) == EVICTLAB_KEY,
               "the tree's key and the rest in the node make the key");

#define EVICTLAB_MODE_OFF     0   /* NGINX's own LRU, looked after at our interval */
#define EVICTLAB_MODE_SHADOW  1   /* the sidecar is asked, and its answer counted only */
#define EVICTLAB_MODE_ON      2

typedef struct {
    ngx_http_file_cache_t  *cache;
    ngx_path_manager_pt     manager;     /* NGINX's own */
    uint32_t                number;      /* in the table */
    ngx_uint_t              native;      /* evictlab_except names it, or the table has no room: left alone */
} evictlab_wrapped_t;

typedef struct {
    ngx_str_t            sidecar;        /* path of the socket; empty: none */
    ngx_uint_t           mode;
    size_t               table_size;
    ngx_uint_t           candidates;
    ngx_uint_t           tail;
    ngx_uint_t           newest;
    uint64_t             timeout_ns;
    ngx_msec_t           interval;       /* 0: NGINX's own */
    ngx_uint_t           guard_window;   /* 0: off */
    double               guard_margin;
    ngx_array_t         *except;         /* ngx_str_t: keys zones */
    ngx_uint_t           set;            /* which directives were given (a bit each), to refuse them twice */

    ngx_shm_zone_t      *zone;
    evictlab_table_t    *table;          /* NULL: no sidecar, or mode off */
    ngx_array_t          wrapped;        /* evictlab_wrapped_t */
} evictlab_conf_t;

extern ngx_module_t  ngx_http_evictlab_module;

/* evictlab_conf.c */
extern ngx_command_t  evictlab_commands[];
void *evictlab_create_conf(ngx_conf_t *cf);
char *evictlab_init_conf(ngx_conf_t *cf, void *conf);

/* evictlab_zone.c */
ngx_int_t evictlab_add_zone(ngx_conf_t *cf, evictlab_conf_t *conf);

/* evictlab_candidates.c */
ngx_http_file_cache_node_t *evictlab_lookup(ngx_http_file_cache_t *cache, const u_char *key);
ngx_uint_t evictlab_gather(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped, evictlab_candidate_t *candidates);

/* evictlab_evict.c: in the manager's process; 0: now it is NGINX's turn, else milliseconds to sleep before */
ngx_msec_t evictlab_make_room(evictlab_conf_t *conf, evictlab_wrapped_t *wrapped);
void evictlab_last_words(evictlab_conf_t *conf);

/* evictlab_status.c */
char *evictlab_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
uint64_t evictlab_took_us(evictlab_counters_t *counters, double share);

static ngx_inline void
evictlab_lock(evictlab_table_t *table)
{
    ngx_shmtx_lock(&table->pool->mutex);
}

static ngx_inline void
evictlab_unlock(evictlab_table_t *table)
{
    ngx_shmtx_unlock(&table->pool->mutex);
}

#endif
