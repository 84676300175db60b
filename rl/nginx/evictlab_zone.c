/* The zone of shared memory in which the table is: made at the start, kept by a reload. */

#include "evictlab.h"

static const ngx_str_t  zone_name = ngx_string("evictlab");


static ngx_int_t
init_zone(ngx_shm_zone_t *zone, void *data)
{
    evictlab_conf_t  *before = data, *conf = zone->data;
    ngx_slab_pool_t  *pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (before) {                           /* a reload: what the workers have learnt stays */
        if (before->table->layout != EVICTLAB_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "evictlab: the running nginx has another version of this module; restart it");
            return NGX_ERROR;
        }

        conf->table = before->table;
        return NGX_OK;
    }

    if (zone->shm.exists) {
        conf->table = pool->data;
        return NGX_OK;
    }

    conf->table = evictlab_table_create(pool);

    if (conf->table == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "evictlab_table %uz is too small", zone->shm.size);
        return NGX_ERROR;
    }

    pool->data = conf->table;

    return NGX_OK;
}


/* Another size would mean an empty table while the old workers still write to the old one: that takes a restart. */
static ngx_int_t
check_size(ngx_conf_t *cf, size_t size)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone;
    ngx_list_part_t  *part;

    if (cf->cycle->old_cycle == NULL || cf->cycle->old_cycle->shared_memory.part.elts == NULL) {
        return NGX_OK;
    }

    part = (ngx_list_part_t *) &cf->cycle->old_cycle->shared_memory.part;

    for ( ; part; part = part->next) {
        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (zone[i].shm.name.len == zone_name.len
                && ngx_strncmp(zone[i].shm.name.data, zone_name.data, zone_name.len) == 0
                && zone[i].shm.addr != NULL
                && zone[i].shm.size != size)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"evictlab_table\" is %uz bytes in the running nginx and cannot become %uz by a "
                                   "reload; restart nginx, or keep the size", zone[i].shm.size, size);
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
evictlab_add_zone(ngx_conf_t *cf, evictlab_conf_t *conf)
{
    ngx_str_t  name = zone_name;

    if (check_size(cf, conf->table_size) != NGX_OK) {
        return NGX_ERROR;
    }

    conf->zone = ngx_shared_memory_add(cf, &name, conf->table_size, &ngx_http_evictlab_module);
    if (conf->zone == NULL) {
        return NGX_ERROR;
    }

    conf->zone->init = init_zone;
    conf->zone->data = conf;

    return NGX_OK;
}
