/* The page of evictlab_status: all counters as one JSON object. */

#include "evictlab.h"

#define PAGE_BYTES  (32 * 1024)


/* Microseconds within which that share of the questions was answered or given up: the upper end of a bucket. */
uint64_t
evictlab_took_us(evictlab_counters_t *counters, double share)
{
    uint64_t    total = 0, seen = 0;
    ngx_uint_t  i;

    for (i = 0; i < EVICTLAB_BUCKETS; i++) {
        total += counters->took[i];
    }

    for (i = 0; total && i < EVICTLAB_BUCKETS; i++) {
        seen += counters->took[i];
        if ((double) seen >= share * (double) total) {
            return evictlab_bucket_us(i);
        }
    }

    return 0;
}


static double
ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double) part / (double) whole : 0.0;
}


/* How often the sidecar was too late, or not there: for a whole round, and for one question of several. */
static u_char *
write_untimely(u_char *p, u_char *end, evictlab_counters_t *c)
{
    uint64_t  rounds = c->rounds - c->fallback_guard - c->fallback_native;
    uint64_t  lost = c->fallback_absent + c->fallback_late + c->fallback_failed, late = c->late + c->failed;

    return ngx_slprintf(p, end,
        "\"untimely\":{\"rounds\":%uL,\"of_rounds\":%uL,\"share_of_rounds\":%.5f,"
        "\"questions\":%uL,\"of_questions\":%uA,\"share_of_questions\":%.5f},",
        lost, rounds, ratio(lost, rounds), late, c->asked, ratio(late, c->asked));
}


static u_char *
write_decisions(u_char *p, u_char *end, evictlab_counters_t *c)
{
    p = ngx_slprintf(p, end,
        "\"rounds\":{\"all\":%uA,\"done\":%uA,\"paused\":%uA},"
        "\"fallbacks\":{\"absent\":%uA,\"late\":%uA,\"failed\":%uA,\"empty\":%uA,\"shadow\":%uA,\"guard\":%uA,"
        "\"none\":%uA,\"slow\":%uA,\"native\":%uA},",
        c->rounds, c->done, c->paused, c->fallback_absent, c->fallback_late, c->fallback_failed, c->fallback_empty,
        c->fallback_shadow, c->fallback_guard, c->fallback_none, c->fallback_slow, c->fallback_native);

    return ngx_slprintf(p, end,
        "\"decisions\":{\"asked\":%uA,\"ok\":%uA,\"empty\":%uA,\"late\":%uA,\"failed\":%uA,\"shadow\":%uA,"
        "\"stale\":%uA,\"connects\":%uA,\"candidates\":%uA},"
        "\"victims\":{\"named\":%uA,\"evicted\":%uA,\"bytes\":%uA,\"gone\":%uA,\"busy\":%uA,\"touched\":%uA},",
        c->asked, c->ok, c->empty, c->late, c->failed, c->shadow, c->stale, c->connects, c->candidates, c->named,
        c->victims, c->victim_bytes, c->gone, c->busy, c->touched);
}


static u_char *
write_round_trip(u_char *p, u_char *end, evictlab_counters_t *c)
{
    char        *comma = "";
    ngx_uint_t   i;

    p = ngx_slprintf(p, end, "\"round_trip_us\":{\"p50\":%uL,\"p95\":%uL,\"p99\":%uL,\"buckets\":[",
                     evictlab_took_us(c, 0.5), evictlab_took_us(c, 0.95), evictlab_took_us(c, 0.99));

    for (i = 0; i < EVICTLAB_BUCKETS; i++) {
        if (c->took[i]) {
            p = ngx_slprintf(p, end, "%s[%uL,%uA]", comma, evictlab_bucket_us(i), c->took[i]);
            comma = ",";
        }
    }

    return ngx_slprintf(p, end, "]},");
}


static u_char *
write_cache(u_char *p, u_char *end, evictlab_conf_t *conf, evictlab_wrapped_t *wrapped)
{
    off_t              size, capacity;
    ngx_uint_t         nodes;
    evictlab_cache_t  *c;
    evictlab_guard_t  *g;

    ngx_shmtx_lock(&wrapped->cache->shpool->mutex);
    size = wrapped->cache->sh->size * (off_t) wrapped->cache->bsize;
    nodes = wrapped->cache->sh->count;
    ngx_shmtx_unlock(&wrapped->cache->shpool->mutex);

    capacity = wrapped->cache->max_size * (off_t) wrapped->cache->bsize;

    p = ngx_slprintf(p, end, "{\"zone\":\"%V\",\"bytes\":%O,\"max_size\":%O,\"nodes\":%ui,\"except\":%s",
                     &wrapped->cache->shm_zone->shm.name, size, capacity, nodes, wrapped->native ? "true" : "false");

    if (conf->table == NULL || wrapped->native) {
        return ngx_slprintf(p, end, "}");
    }

    c = &conf->table->caches[wrapped->number];
    g = &c->guard;

    p = ngx_slprintf(p, end, ",\"requests\":%uL,\"hits\":%uL,\"pace_s\":%.6f", c->requests, c->hits, c->pace_s);

    if (g->shadow == NULL || conf->guard_window == 0) {
        return ngx_slprintf(p, end, ",\"guard\":{\"rules\":\"off\"}}");
    }

    return ngx_slprintf(p, end,
        ",\"guard\":{\"rules\":\"%s\",\"windows\":%uL,\"stops\":%uL,\"left\":%uD,\"rate\":%uL,\"sampled\":%uL,"
        "\"real_hit_ratio\":%.4f,\"lru_hit_ratio\":%.4f}}",
        g->native ? "lru" : "sidecar", g->windows, g->stops, g->native, g->shadow->rate,
        g->all_sampled + g->sampled, ratio(g->all_real_hits + g->real_hits, g->all_sampled + g->sampled),
        ratio(g->all_shadow_hits + g->shadow_hits, g->all_sampled + g->sampled));
}


static u_char *
write_page(u_char *p, u_char *end, evictlab_conf_t *conf)
{
    ngx_uint_t           i;
    evictlab_table_t    *t = conf->table;
    evictlab_wrapped_t  *wrapped = conf->wrapped.elts;
    static const char   *modes[] = { "off", "shadow", "on" };

    p = ngx_slprintf(p, end, "{\"version\":%d,\"mode\":\"%s\",\"interval_ms\":%M,\"timeout_us\":%uL,",
                     EVICTLAB_VERSION, modes[conf->mode], conf->interval, conf->timeout_ns / 1000);

    if (t) {
        p = write_decisions(p, end, &t->counters);
        p = write_untimely(p, end, &t->counters);
        p = write_round_trip(p, end, &t->counters);

        evictlab_lock(t);
        p = ngx_slprintf(p, end, "\"table\":{\"slots\":%uD,\"entries\":%uD,\"residents\":%uD,\"displaced\":%uL},",
                         t->slots, t->used, t->residents, t->displaced);
        evictlab_unlock(t);
    }

    p = ngx_slprintf(p, end, "\"caches\":[");

    for (i = 0; i < conf->wrapped.nelts; i++) {
        p = ngx_slprintf(p, end, i ? "," : "");
        p = write_cache(p, end, conf, &wrapped[i]);
    }

    return ngx_slprintf(p, end, "]}\n");
}


static ngx_int_t
status_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_buf_t        *b;
    ngx_chain_t       out;
    evictlab_conf_t  *conf = ngx_http_get_module_main_conf(r, ngx_http_evictlab_module);

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, PAGE_BYTES);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = write_page(b->last, b->end, conf);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


char *
evictlab_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    (void) cmd;
    (void) conf;

    core->handler = status_handler;

    return NGX_CONF_OK;
}
