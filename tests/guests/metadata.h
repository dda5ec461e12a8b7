/* A track's metadata with something of everything in it. Own deeds: metadata:many, metadata:picture, metadata:rude. */
typedef struct {
    maybe_text title, album;
    text artists, album_artists, genres;
    maybe_u32 track_number, track_total, disc_number, disc_total, year;
    maybe_text comment;
} audio_tags;
typedef struct {
    text codec;
    maybe_u32 rate;
    maybe_u16 channels;
    maybe_u32 bitrate;
    maybe_text container;
} audio_format;
typedef struct {
    u8 tag;
    union { text text; u8 truth; u32 small; u64 large; i64 whole; double real; };
} extra_value;
typedef struct { text key; extra_value value; } extra;
_Static_assert(sizeof(extra) == 24, "the canonical layout");
typedef struct { audio_tags tags; maybe_u64 duration; audio_format format; text extras; } media_metadata;
typedef struct { u8 failed; union { media_metadata metadata; plugin_error error; }; } metadata_result;

static text artists[2] = {{"One", 3}, {"Other", 5}};
static text many_names[1000];
static extra extras[2000];
static metadata_result metadata_answer;

static void describe_track(media_metadata *track) {
    u32 count = 0;
    __builtin_memset(track, 0, sizeof *track);
    track->tags.title = (maybe_text){1, TEXT("A \x1b[31msong")};
    track->tags.artists = (text){artists, 2};
    track->tags.track_number = (maybe_u32){1, 7};
    track->tags.comment = (maybe_text){1, TEXT("two\r\nlines")};
    track->duration = (maybe_u64){1, 1500};
    track->format = (audio_format){TEXT("rawf"), {1, 48000}, {1, 2}, {0, 0}, {1, TEXT("raw")}};
    extras[count++] = (extra){TEXT("text"), {0, .text = TEXT("words")}};
    extras[count++] = (extra){TEXT("truth"), {1, .truth = 1}};
    extras[count++] = (extra){TEXT("small"), {2, .small = 0xffffffff}};
    extras[count++] = (extra){TEXT("large"), {3, .large = ~0ull}};
    extras[count++] = (extra){TEXT("whole"), {4, .whole = -5}};
    extras[count++] = (extra){TEXT("real"), {5, .real = 0.5}};
    extras[count++] = (extra){TEXT("raw"), {6, .text = TEXT("\x00\xff")}};
    if (plays("metadata:picture")) {
        extras[count++] = (extra){TEXT("picture"), {6, .text = TEXT("\x89PNG\r\n\x1a\n and so on")}};
        extras[count++] = (extra){TEXT("picture.back"), {6, .text = TEXT("\xff\xd8\xff and so on")}};
        extras[count++] = (extra){TEXT("picture"), {6, .text = TEXT("no picture")}};
    }
    if (plays("metadata:many")) {
        for (u32 i = 0; i < 1000; i++) many_names[i] = TEXT("somebody");
        track->tags.artists = (text){many_names, 1000};
        while (count < 2000) extras[count++] = (extra){TEXT("text"), {0, .text = TEXT("words")}};
    }
    if (plays("metadata:rude")) {
        track->duration.value = ~0ull;
        track->format = (audio_format){{0, 0}, {1, 0}, {1, 0xffff}, {1, 0xffffffff}, {0, {0, 0}}};
        track->tags.title.value = (text){arena, sizeof arena};
        __builtin_memset(arena, 'x', sizeof arena);
    }
    track->extras = (text){extras, count};
}
