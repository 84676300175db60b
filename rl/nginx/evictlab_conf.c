/* The directives; README.md beside this file is their reference. */

#include "evictlab.h"

#include <sys/un.h>

enum {
    SET_SIDECAR = 1,
    SET_TABLE = 2,
    SET_CANDIDATES = 4,
    SET_TIMEOUT = 8,
    SET_INTERVAL = 16,
    SET_MODE = 32,
    SET_GUARD = 64
};

static char *set_sidecar(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_table(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_candidates(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_interval(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *set_except(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

#define MAIN(name, args, set) \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|(args), set, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL }

ngx_command_t  evictlab_commands[] = {
    MAIN("evictlab_sidecar", NGX_CONF_TAKE1, set_sidecar),
    MAIN("evictlab_table", NGX_CONF_TAKE1, set_table),
    MAIN("evictlab_candidates", NGX_CONF_TAKE123, set_candidates),
    MAIN("evictlab_timeout", NGX_CONF_TAKE1, set_timeout),
    MAIN("evictlab_interval", NGX_CONF_TAKE1, set_interval),
    MAIN("evictlab_mode", NGX_CONF_TAKE1, set_mode),
    MAIN("evictlab_guard", NGX_CONF_TAKE12, set_guard),
    MAIN("evictlab_except", NGX_CONF_1MORE, set_except),
    { ngx_string("evictlab_status"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, evictlab_status, 0, 0, NULL },
    ngx_null_command
};


static char *
refuse(ngx_conf_t *cf, ngx_command_t *cmd, const ngx_str_t *value, const char *takes)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" does not take \"%V\"; it takes %s", &cmd->name, value, takes);

    return NGX_CONF_ERROR;
}


static ngx_str_t *
only_once(ngx_conf_t *cf, evictlab_conf_t *conf, ngx_uint_t bit)
{
    if (conf->set & bit) {
        return NULL;
    }

    conf->set |= bit;

    return cf->args->elts;
}


static ngx_uint_t
is(const ngx_str_t *value, const char *word)
{
    return value->len == ngx_strlen(word) && ngx_strncmp(value->data, word, value->len) == 0;
}


/* Cuts `prefix` off; whether it was there. */
static ngx_uint_t
cut(ngx_str_t *value, const char *prefix)
{
    size_t  length = ngx_strlen(prefix);

    if (value->len <= length || ngx_strncmp(value->data, prefix, length) != 0) {
        return 0;
    }

    value->data += length;
    value->len -= length;

    return 1;
}


static char *
set_sidecar(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_SIDECAR);

    if (value == NULL) {
        return "is duplicate";
    }

    c->sidecar = value[1];

    if (!cut(&c->sidecar, "unix:") || c->sidecar.data[0] != '/') {
        return refuse(cf, cmd, &value[1], "the socket of a sidecar on this machine, as in unix:/run/evictlab.sock");
    }

    if (c->sidecar.len >= sizeof(((struct sockaddr_un *) 0)->sun_path)) {
        return refuse(cf, cmd, &value[1], "a path of at most 107 bytes");
    }

    return NGX_CONF_OK;
}


static char *
set_table(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ssize_t           size;
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_TABLE);

    if (value == NULL) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[1]);

    if (size < 512 * 1024 || size > (ssize_t) 4096 * 1024 * 1024) {
        return refuse(cf, cmd, &value[1], "a size from 512k to 4096m");
    }

    c->table_size = (size_t) size;

    return NGX_CONF_OK;
}


static char *
set_candidates(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t         n, tail = -1, newest = -1, *number;
    ngx_str_t         word;
    ngx_uint_t        i;
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_CANDIDATES);

    if (value == NULL) {
        return "is duplicate";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n < 1 || n > EVICTLAB_MAX_K) {
        return refuse(cf, cmd, &value[1], "a number from 1 to 64");
    }

    for (i = 2; i < cf->args->nelts; i++) {
        word = value[i];
        number = cut(&word, "tail=") ? &tail : cut(&word, "newest=") ? &newest : NULL;

        if (number == NULL || *number != -1 || (*number = ngx_atoi(word.data, word.len)) < 0
            || ngx_max(tail, 0) + ngx_max(newest, 0) > n)
        {
            return refuse(cf, cmd, &value[i],
                          "tail=N and newest=N, each from 0, together at most the number of candidates");
        }
    }

    /* One in eight each, as the models that come with evictlab were trained. */
    if (tail == -1) {
        tail = ngx_min(ngx_max(n / 8, 1), n - ngx_max(newest, 0));
    }

    if (newest == -1) {
        newest = ngx_min(n / 8, n - tail);
    }

    c->candidates = (ngx_uint_t) n;
    c->tail = (ngx_uint_t) tail;
    c->newest = (ngx_uint_t) newest;

    return NGX_CONF_OK;
}


static char *
set_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    uint64_t          unit_ns;
    ngx_int_t         n = NGX_ERROR;
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_TIMEOUT);

    if (value == NULL) {
        return "is duplicate";
    }

    unit_ns = 0;

    if (value[1].len > 2) {
        unit_ns = ngx_strncmp(value[1].data + value[1].len - 2, "us", 2) == 0 ? 1000
                  : ngx_strncmp(value[1].data + value[1].len - 2, "ms", 2) == 0 ? 1000000 : 0;
        n = ngx_atoi(value[1].data, value[1].len - 2);
    }

    if (unit_ns == 0 || n < 1 || n > 1000000 || (uint64_t) n * unit_ns > 1000000000ULL) {
        return refuse(cf, cmd, &value[1], "microseconds or milliseconds up to a second, as in 500us or 2ms");
    }

    c->timeout_ns = (uint64_t) n * unit_ns;

    return NGX_CONF_OK;
}


static char *
set_interval(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t         ms;
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_INTERVAL);

    if (value == NULL) {
        return "is duplicate";
    }

    if (is(&value[1], "off")) {
        c->interval = 0;
        return NGX_CONF_OK;
    }

    ms = ngx_parse_time(&value[1], 0);

    if (ms < 1 || ms > 10000) {
        return refuse(cf, cmd, &value[1], "off, or a time from 1ms to 10s");
    }

    c->interval = (ngx_msec_t) ms;

    return NGX_CONF_OK;
}


static char *
set_mode(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_MODE);

    if (value == NULL) {
        return "is duplicate";
    }

    if (is(&value[1], "on")) {
        c->mode = EVICTLAB_MODE_ON;
    } else if (is(&value[1], "shadow")) {
        c->mode = EVICTLAB_MODE_SHADOW;
    } else if (is(&value[1], "off")) {
        c->mode = EVICTLAB_MODE_OFF;
    } else {
        return refuse(cf, cmd, &value[1], "on, shadow or off");
    }

    return NGX_CONF_OK;
}


static char *
set_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t         n;
    ngx_str_t         word;
    ngx_uint_t        i;
    evictlab_conf_t  *c = conf;
    ngx_str_t        *value = only_once(cf, c, SET_GUARD);

    if (value == NULL) {
        return "is duplicate";
    }

    if (cf->args->nelts == 2 && is(&value[1], "off")) {
        c->guard_window = 0;
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        word = value[i];

        if (cut(&word, "window=")) {
            n = ngx_atoi(word.data, word.len);
            if (n >= 10 && n <= 100000000) {
                c->guard_window = (ngx_uint_t) n;
                continue;
            }

        } else if (cut(&word, "margin=")) {
            n = ngx_atofp(word.data, word.len, 4);
            if (n != NGX_ERROR && n <= 10000) {
                c->guard_margin = (double) n / 10000;
                continue;
            }
        }

        return refuse(cf, cmd, &value[i], "off, or window=N (from 10) and margin=X (a hit ratio from 0 to 1)");
    }

    return NGX_CONF_OK;
}


static char *
set_except(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t        *value = cf->args->elts, *name;
    ngx_uint_t        i;
    evictlab_conf_t  *c = conf;

    (void) cmd;

    if (c->except == NULL) {
        c->except = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (c->except == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < cf->args->nelts; i++) {
        name = ngx_array_push(c->except);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


void *
evictlab_create_conf(ngx_conf_t *cf)
{
    evictlab_conf_t  *conf = ngx_pcalloc(cf->pool, sizeof(evictlab_conf_t));

    if (conf == NULL || ngx_array_init(&conf->wrapped, cf->pool, 4, sizeof(evictlab_wrapped_t)) != NGX_OK) {
        return NULL;
    }

    conf->mode = EVICTLAB_MODE_ON;
    conf->table_size = 8 * 1024 * 1024;
    conf->candidates = 64;
    conf->tail = 8;
    conf->newest = 8;
    conf->timeout_ns = 500 * 1000;
    conf->interval = 50;
    conf->guard_window = 2000;
    conf->guard_margin = 0.02;

    return conf;
}


char *
evictlab_init_conf(ngx_conf_t *cf, void *conf)
{
    evictlab_conf_t  *c = conf;

    if (c->set == 0) {
        c->mode = EVICTLAB_MODE_OFF;        /* loaded, but not used */
        c->interval = 0;
    }

    if (c->mode == EVICTLAB_MODE_OFF) {
        return NGX_CONF_OK;
    }

    if (c->sidecar.len == 0) {
        if (c->set & ~SET_INTERVAL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "evictlab: without \"evictlab_sidecar\" nobody decides; "
                               "name it, or say \"evictlab_mode off\"");
            return NGX_CONF_ERROR;
        }

        c->mode = EVICTLAB_MODE_OFF;
        return NGX_CONF_OK;
    }

    return evictlab_add_zone(cf, c) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}
