/* A sound device: samples go through a shared-memory ring to a sidecar that plays them, requests as lines of JSON over its stdio.
 *
 * A request is {"id": n, "op": ..., ...}; its answer {"id": n, "ok": ...} or {"id": n, "error": {"case": ..., "message": ...}}.
 */
#include "st_sink.h"

#define DEVICE_RING (2u << 20)
#define DEVICE_LINE_MOST (1u << 20)
#define DEVICE_PATIENCE_MS 10000u
#define DEVICE_ROOM_MS 5000u
#define DEVICE_PLAY_OUT_MS 29000u
#define DEVICE_GRACE_MS 500u

struct st_sink {
    st_owned process, control, data;
    u32 requests;
    u8 open;
    u32 channels, limit; /* frames that may be queued */
    u32 queued;          /* frames, at most: what the sidecar said last, and everything sent since */
    u8 rest[4 * 255];    /* of a frame that the ring took in part */
    u32 rest_bytes;
};

static const st_transport device_control[] = {{ST_STDIO, 0, {0, 0}}};
static const st_transport device_data[] = {{ST_SHARED_MEMORY_RING, 0, {1, DEVICE_RING}}};
static const char *const device_cases[] = {"invalid-arg", "not-found", "io", "timeout", "unsupported", "denied", "internal"};

static int device_fail(st_plugin_error *error, u8 tag, st_text message) { return *error = st_fail(tag, message), 0; }

static void device_drop(st_sink *s) {
    st_channel_close(&s->data);
    st_channel_close(&s->control);
    st_sidecar_stop(&s->process, DEVICE_GRACE_MS);
    s->open = 0, s->rest_bytes = 0, s->queued = 0;
}

static int device_start(st_sink *s, st_plugin_error *error) {
    if (s->control.open) return 1;
    const st_launch launch = {
        .scope = ST_SCOPE_INSTANCE,
        .executable = ST_TEXT("device.py"),
        .control = device_control,
        .control_count = ST_COUNT(device_control),
        .data = device_data,
        .data_count = ST_COUNT(device_data),
    };
    if (st_sidecar_launch(&launch, &s->process, error) && st_sidecar_control(s->process, &s->control, error)
        && st_sidecar_data(s->process, ST_TEXT("pcm"), 0, 0, &s->data, error))
        return 1;
    device_drop(s);
    return 0;
}

/* Errors come with the case that the sidecar named. */
static int device_refusal(st_slice answer, st_plugin_error *error) {
    st_slice refusal;
    st_text name, message;
    if (!st_json_member(answer, "error", &refusal)) return device_fail(error, ST_E_IO, ST_TEXT("the sidecar's answer says nothing"));
    *error = st_fail(ST_E_IO, ST_TEXT("the sidecar failed"));
    if (st_json_text(refusal, "message", &message)) error->message = message;
    if (st_json_text(refusal, "case", &name))
        for (u8 i = 0; i < ST_COUNT(device_cases); i++)
            if (st_text_is(name, device_cases[i])) error->tag = i;
    return 0;
}

/* The answer to request `id` among the lines that come; answers that nobody waited for any more are passed over. */
static int device_await(st_sink *s, u32 id, u32 patience, st_slice *out, st_plugin_error *error) {
    st_buffer line = {0};
    for (;;) {
        st_text data;
        if (!st_channel_read(s->control, 65536, patience, &data, error)) return 0;
        if (!data.len) return device_fail(error, ST_E_TIMEOUT, ST_TEXT("the sidecar does not answer"));
        for (u32 i = 0; i < data.len; i++) {
            const char c = ((const char *)data.at)[i];
            if (c != '\n') {
                st_add_char(&line, c);
                continue;
            }
            st_slice answer;
            u64 answered = 0;
            if (!st_json_document(st_built(&line), &answer)) return device_fail(error, ST_E_IO, ST_TEXT("the sidecar speaks no JSON"));
            if (st_json_count(answer, "id", 0xffffffffu, &answered) && answered == id) {
                *out = answer;
                return 1;
            }
            line = (st_buffer){0};
        }
        if (line.full || line.len > DEVICE_LINE_MOST) return device_fail(error, ST_E_IO, ST_TEXT("the sidecar's answer has no end"));
    }
}

/* Asks, and waits for the answer. `more` are further members, each with a comma before it. */
static int device_ask(st_sink *s, const char *op, st_text more, u32 patience, st_slice *out, st_plugin_error *error) {
    st_buffer request = {0};
    st_slice answer = {0, 0};
    const u32 id = ++s->requests;
    st_add(&request, "{\"id\":"), st_add_number(&request, id);
    st_add(&request, ",\"op\":\""), st_add(&request, op), st_add_char(&request, '"');
    st_add_text(&request, more), st_add(&request, "}\n");
    const i64 sent = st_channel_write(s->control, request.at, request.len, error);
    int heard = sent == (i64)request.len;
    if (sent >= 0 && !heard) *error = st_fail(ST_E_TIMEOUT, ST_TEXT("the sidecar takes no requests"));
    heard = heard && device_await(s, id, patience, &answer, error);
    if (!heard) {
        device_drop(s); /* whatever it is up to: the next call begins anew */
        return 0;
    }
    return st_json_member(answer, "ok", out) || device_refusal(answer, error);
}

/* `,"target":{...},"rate":...,"channels":...` on one line: a line feed in checked JSON only ever stands between values. */
static st_text device_spec(st_text target, u32 rate, u32 channels) {
    st_buffer b = {0};
    st_add(&b, ",\"target\":");
    const u32 start = b.len;
    st_add_text(&b, target);
    for (u32 i = start; i < b.len; i++)
        if (b.at[i] == '\n' || b.at[i] == '\r') b.at[i] = ' ';
    st_add_count_member(&b, "rate", rate), st_add_count_member(&b, "channels", channels);
    return st_built(&b);
}

static int st_sink_targets(st_sink *s, st_text *out, st_plugin_error *error) {
    st_slice list;
    if (!device_start(s, error) || !device_ask(s, "list", ST_TEXT(""), DEVICE_PATIENCE_MS, &list, error)) return 0;
    *out = (st_text){list.at, (u32)(list.end - list.at)};
    return 1;
}

static int st_sink_negotiate(st_sink *s, st_text target, u32 rate, u32 channels, st_negotiated *out, st_plugin_error *error) {
    st_slice answer;
    u64 agreed, width, chunk;
    if (!device_start(s, error)) return 0;
    if (!device_ask(s, "negotiate", device_spec(target, rate, channels), DEVICE_PATIENCE_MS, &answer, error)) return 0;
    if (!st_json_count(answer, "rate", 0xffffffffu, &agreed) || !st_json_count(answer, "channels", 0xffff, &width)
        || !st_json_count(answer, "chunk", 0xffffffffu, &chunk))
        return device_fail(error, ST_E_IO, ST_TEXT("the sidecar's answer is no spec"));
    *out = (st_negotiated){(u32)agreed, (u16)width, (u32)chunk, (u8)st_json_true(answer, "track_rate")};
    return 1;
}

static int st_sink_open(st_sink *s, st_text target, u32 rate, u32 channels, st_plugin_error *error) {
    st_slice answer;
    u64 limit;
    s->open = 0, s->rest_bytes = 0, s->queued = 0;
    if (!channels || channels > sizeof s->rest / 4) return device_fail(error, ST_E_UNSUPPORTED, ST_TEXT("too many channels"));
    if (!device_start(s, error)) return 0;
    if (!device_ask(s, "open", device_spec(target, rate, channels), DEVICE_PATIENCE_MS, &answer, error)) return 0;
    if (!st_json_count(answer, "limit", 0xffffffffu, &limit) || !limit)
        return device_fail(error, ST_E_IO, ST_TEXT("the sidecar's answer has no limit"));
    s->open = 1, s->channels = channels;
    s->limit = limit < DEVICE_RING / (4 * channels) ? (u32)limit : DEVICE_RING / (4 * channels);
    return 1;
}

static int device_is_open(const st_sink *s, st_plugin_error *error) {
    return s->open || device_fail(error, ST_E_INVALID_ARG, ST_TEXT("no device is open"));
}

/* Learns how much is queued; waits for it to be less than `below`, if that is not 0. */
static int device_look(st_sink *s, u32 below, u8 *running, st_plugin_error *error) {
    st_buffer more = {0};
    st_slice answer;
    u64 queued;
    if (below) {
        st_add(&more, ",\"below\":"), st_add_number(&more, below);
        st_add(&more, ",\"ms\":"), st_add_number(&more, DEVICE_ROOM_MS);
    }
    if (!device_ask(s, "status", st_built(&more), DEVICE_PATIENCE_MS, &answer, error)) return 0;
    if (!st_json_count(answer, "queued", 0xffffffffu, &queued)) return device_fail(error, ST_E_IO, ST_TEXT("the sidecar's answer is no status"));
    s->queued = (u32)queued, *running = (u8)st_json_true(answer, "running");
    return 1;
}

/* The rest of a frame goes before everything else; 0 with `error` filled in where the ring stays full. */
static int device_send_rest(st_sink *s, st_plugin_error *error) {
    u32 tries = 100; /* each waits for a moment by itself */
    while (s->rest_bytes && tries--) {
        const i64 sent = st_channel_write(s->data, s->rest, s->rest_bytes, error);
        if (sent < 0) return device_drop(s), 0;
        s->rest_bytes -= (u32)sent;
        st_copy(s->rest, s->rest + sent, s->rest_bytes);
    }
    return !s->rest_bytes || device_fail(error, ST_E_TIMEOUT, ST_TEXT("the device takes no samples"));
}

static int st_sink_write(st_sink *s, const void *samples, u32 frames, u32 channels, u32 *accepted, st_plugin_error *error) {
    const u32 frame = 4 * channels;
    if (!device_is_open(s, error)) return 0;
    if (channels != s->channels) return device_fail(error, ST_E_INVALID_ARG, ST_TEXT("not the number of channels that was opened"));
    if (!frames) return 1;
    if (s->queued >= s->limit) {
        u8 running;
        if (!device_look(s, s->limit, &running, error)) return 0;
        if (!running) return device_fail(error, ST_E_IO, ST_TEXT("the device stopped"));
        if (s->queued >= s->limit) return device_fail(error, ST_E_TIMEOUT, ST_TEXT("the device takes no samples"));
    }
    if (!device_send_rest(s, error)) return 0;
    const u32 room = s->limit - s->queued, some = frames < room ? frames : room;
    const i64 sent = st_channel_write(s->data, samples, some * frame, error);
    if (sent < 0) return device_drop(s), 0;
    /* A frame that is in the ring in part counts as accepted; the rest of it is kept. */
    *accepted = ((u32)sent + frame - 1) / frame;
    s->rest_bytes = *accepted * frame - (u32)sent;
    st_copy(s->rest, (const u8 *)samples + sent, s->rest_bytes);
    s->queued += *accepted;
    return 1;
}

static int st_sink_status(st_sink *s, st_sink_state *out, st_plugin_error *error) {
    if (!s->open) return 1;
    if (!device_look(s, 0, &out->running, error)) return 0;
    out->queued_samples = s->queued * s->channels;
    return 1;
}

static int st_sink_flush(st_sink *s, st_plugin_error *error) {
    st_slice answer;
    if (!s->open) return 1;
    if (!device_send_rest(s, error) || !device_ask(s, "flush", ST_TEXT(""), DEVICE_PLAY_OUT_MS, &answer, error)) return 0;
    s->queued = 0;
    return 1;
}

static int st_sink_reset(st_sink *s, st_plugin_error *error) {
    st_slice answer;
    if (!s->open) return 1;
    s->rest_bytes = 0, s->queued = 0;
    return device_ask(s, "reset", ST_TEXT(""), DEVICE_PATIENCE_MS, &answer, error);
}

static void st_sink_close(st_sink *s) { device_drop(s); }

#include "st_glue_sink.h"
