/* Decodes tokens with the accelerator @NAME@ on Linux:
 *
 *     cc -std=c99 -O2 -o decode main.c driver.c
 *     ./decode xdma:/dev/xdma0 IMAGE COUNT TOKEN...
 *     ./decode uio:/dev/uio0,udmabuf0,0x40000000 IMAGE COUNT TOKEN...
 *
 * IMAGE is a folder that rtlm image wrote, COUNT the number of new tokens, TOKEN... the prompt as token numbers. The
 * last part of a uio: address is the physical address of the accelerator's byte address 0, where the u-dma-buf has to
 * begin; a card's memory begins at DMA address 0. For another platform, write the five functions of struct
 * rtlm_platform anew; driver.c stays as it is. */

#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"

#define REGISTER_BYTES 4096u
#define CHUNK (1u << 20)
#ifndef PATIENCE
#define PATIENCE 60u /* waits of a second that a step may take */
#endif
#define WAIT_MS 1000
#define NAME_BYTES 512u

struct board {
    int uio; /* whether the memory is a buffer, not behind DMA files */
    int registers, to_memory, from_memory, events;
    volatile uint32_t *words;
    uint8_t *buffer;
    uint64_t buffer_bytes;
    char attributes[NAME_BYTES];
};

static uint8_t chunk[CHUNK];

static uint32_t board_read32(void *context, uint32_t offset)
{
    return ((struct board *)context)->words[offset / 4u];
}

static void board_write32(void *context, uint32_t offset, uint32_t value)
{
    ((struct board *)context)->words[offset / 4u] = value;
}

/* An attribute of the buffer in /sys; the cache is maintained by writing to them. */
static int set_attribute(const struct board *board, const char *name, uint64_t value)
{
    char path[NAME_BYTES + 32], text[32];
    int length, file;
    ssize_t written;
    snprintf(path, sizeof path, "%s/%s", board->attributes, name);
    file = open(path, O_WRONLY);
    if (file < 0)
        return -1;
    length = snprintf(text, sizeof text, "%" PRIu64, value);
    written = write(file, text, (size_t)length);
    close(file);
    return written == length ? 0 : -1;
}

static int hand_over(const struct board *board, const char *to, uint64_t address, size_t bytes, int direction)
{
    /* Whole lines of the cache. */
    uint64_t first = address / 64u * 64u, end = (address + bytes + 63u) / 64u * 64u;
    return set_attribute(board, "sync_offset", first) || set_attribute(board, "sync_size", end - first)
        || set_attribute(board, "sync_direction", (uint64_t)direction) || set_attribute(board, to, 1);
}

static int board_read_memory(void *context, uint64_t address, void *content, size_t bytes)
{
    struct board *board = context;
    uint8_t *to = content;
    if (board->uio) {
        if (address + bytes > board->buffer_bytes || hand_over(board, "sync_for_cpu", address, bytes, 2))
            return -1;
        memcpy(to, board->buffer + address, bytes);
        return 0;
    }
    while (bytes) {
        ssize_t moved = pread(board->from_memory, to, bytes, (off_t)address);
        if (moved <= 0)
            return -1;
        to += moved;
        address += (uint64_t)moved;
        bytes -= (size_t)moved;
    }
    return 0;
}

static int board_write_memory(void *context, uint64_t address, const void *content, size_t bytes)
{
    struct board *board = context;
    const uint8_t *from = content;
    if (board->uio) {
        if (address + bytes > board->buffer_bytes)
            return -1;
        memcpy(board->buffer + address, from, bytes);
        return hand_over(board, "sync_for_device", address, bytes, 1);
    }
    while (bytes) {
        ssize_t moved = pwrite(board->to_memory, from, bytes, (off_t)address);
        if (moved <= 0)
            return -1;
        from += moved;
        address += (uint64_t)moved;
        bytes -= (size_t)moved;
    }
    return 0;
}

static void board_wait(void *context)
{
    struct board *board = context;
    struct pollfd events;
    uint32_t word = 1;
    /* A UIO device's interrupt is off after each that came. */
    if (board->uio && write(board->events, &word, sizeof word) != (ssize_t)sizeof word) {
        perror("interrupt");
        poll(NULL, 0, WAIT_MS);
        return;
    }
    events.fd = board->events;
    events.events = POLLIN;
    events.revents = 0;
    if (poll(&events, 1, WAIT_MS) > 0 && read(board->events, &word, sizeof word) < 0)
        perror("interrupt");
}

static int open_part(const char *path, const char *end, int flags)
{
    char name[NAME_BYTES];
    int file;
    snprintf(name, sizeof name, "%s%s", path, end);
    file = open(name, flags);
    if (file < 0)
        fprintf(stderr, "%s cannot be opened: %s\n", name, strerror(errno));
    return file;
}

static int read_attribute(const struct board *board, const char *name, uint64_t *value)
{
    char text[64];
    ssize_t length;
    int file = open_part(board->attributes, name, O_RDONLY);
    if (file < 0)
        return -1;
    length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0)
        return -1;
    text[length] = 0;
    *value = strtoull(text, NULL, 0);
    return 0;
}

static int open_buffer(struct board *board, const char *name, uint64_t base)
{
    char path[NAME_BYTES];
    uint64_t address;
    void *place;
    int file;
    snprintf(path, sizeof path, "/dev/%s", name);
    snprintf(board->attributes, sizeof board->attributes, "/sys/class/u-dma-buf/%s", name);
    if (read_attribute(board, "/phys_addr", &address) || read_attribute(board, "/size", &board->buffer_bytes))
        return -1;
    if (address != base) {
        fprintf(stderr, "%s begins at %#" PRIx64 ", but the accelerator's byte address 0 is at %#" PRIx64 "\n", name,
            address, base);
        return -1;
    }
    file = open_part(path, "", O_RDWR);
    if (file < 0)
        return -1;
    place = mmap(NULL, (size_t)board->buffer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (place == MAP_FAILED)
        return -1;
    board->buffer = place;
    return 0;
}

/* Open the device files that "xdma:PATH" or "uio:PATH,BUFFER[,ADDRESS]" names. */
static int open_board(struct board *board, const char *text)
{
    char path[NAME_BYTES];
    char *buffer, *base;
    void *place;
    const char *colon = strchr(text, ':');
    if (!colon || strlen(colon) >= sizeof path)
        return -1;
    strcpy(path, colon + 1);
    board->uio = strncmp(text, "uio:", 4) == 0;
    if (board->uio) {
        buffer = strchr(path, ',');
        if (!buffer)
            return -1;
        *buffer++ = 0;
        base = strchr(buffer, ',');
        if (base)
            *base++ = 0;
        if (open_buffer(board, buffer, base ? strtoull(base, NULL, 0) : 0))
            return -1;
        board->registers = board->events = open_part(path, "", O_RDWR);
    } else if (strncmp(text, "xdma:", 5) == 0) {
        board->registers = open_part(path, "_user", O_RDWR);
        board->to_memory = open_part(path, "_h2c_0", O_WRONLY);
        board->from_memory = open_part(path, "_c2h_0", O_RDONLY);
        board->events = open_part(path, "_events_0", O_RDONLY);
        if (board->to_memory < 0 || board->from_memory < 0)
            return -1;
    } else {
        return -1;
    }
    if (board->registers < 0 || board->events < 0)
        return -1;
    place = mmap(NULL, REGISTER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, board->registers, 0);
    if (place == MAP_FAILED)
        return -1;
    board->words = place;
    return 0;
}

/* Load a whole file; the caller frees it. */
static char *read_text(const char *folder, const char *name)
{
    char path[NAME_BYTES];
    char *text = NULL;
    FILE *file;
    long bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (bytes = ftell(file)) >= 0 && fseek(file, 0, SEEK_SET) == 0) {
        text = malloc((size_t)bytes + 1);
        if (text) {
            size_t got = fread(text, 1, (size_t)bytes, file);
            text[got] = 0;
        }
    }
    fclose(file);
    return text;
}

/* Where the value of a key begins, of which the manifest has one only; NULL if it has none. */
static const char *value_of(const char *manifest, const char *key)
{
    char quoted[64];
    const char *found;
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    found = strstr(manifest, quoted);
    return found ? found + strlen(quoted) : NULL;
}

static int number_of(const char *manifest, const char *key, uint64_t *value)
{
    const char *found = value_of(manifest, key);
    if (!found)
        return -1;
    *value = strtoull(found, NULL, 10);
    return 0;
}

static int read_layout(const char *manifest, struct rtlm_layout *layout, uint64_t *zeros)
{
    uint64_t base, words, crc, limit;
    const char *place = value_of(manifest, "KV_BASE");
    char *end;
    uint32_t slot;
    if (!place || number_of(manifest, "PROGRAM_BASE", &base) || number_of(manifest, "PROGRAM_WORDS", &words)
        || number_of(manifest, "PROGRAM_CRC", &crc) || number_of(manifest, "LIMIT", &limit)
        || number_of(manifest, "zero_bytes", zeros))
        return -1;
    layout->program_base = (uint32_t)base;
    layout->program_words = (uint32_t)words;
    layout->program_crc = (uint32_t)crc;
    layout->limit = (uint32_t)limit;
    for (slot = 0; slot < RTLM_TOKEN_COUNT; slot++) {
        place += strcspn(place, "0123456789");
        layout->kv_base[slot] = (uint32_t)strtoul(place, &end, 10);
        if (end == place)
            return -1;
        place = end;
    }
    return 0;
}

/* Write the image to the accelerator's memory, zeros behind it. */
static enum rtlm_result load(const struct rtlm_driver *driver, const char *folder, uint64_t zeros)
{
    char path[NAME_BYTES];
    enum rtlm_result result = RTLM_OK;
    uint64_t address = 0;
    size_t count;
    FILE *file;
    snprintf(path, sizeof path, "%s/image.bin", folder);
    file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s cannot be opened: %s\n", path, strerror(errno));
        return RTLM_NO_IMAGE;
    }
    while (result == RTLM_OK && (count = fread(chunk, 1, sizeof chunk, file)) > 0) {
        if (driver->platform->write_memory(driver->platform->context, address, chunk, count))
            result = RTLM_MEMORY_FAILED;
        address += count;
    }
    fclose(file);
    return result == RTLM_OK ? rtlm_clear(driver, address, zeros) : result;
}

static enum rtlm_result decode(struct rtlm_driver *driver, char **prompt, uint32_t prompt_count, uint32_t count)
{
    uint32_t position, token = 0;
    for (position = 0; position + 1 < prompt_count + count; position++) {
        int wanted = position + 1 >= prompt_count;
        enum rtlm_result result;
        if (position < prompt_count)
            token = (uint32_t)strtoul(prompt[position], NULL, 10);
        result = rtlm_decode(driver, token, position, wanted ? &token : NULL);
        if (result != RTLM_OK)
            return result;
        if (wanted)
            printf("%" PRIu32 "\n", token);
        fprintf(stderr, "position %" PRIu32 ": %" PRIu32 " cycles\n", position, rtlm_cycles(driver));
    }
    return RTLM_OK;
}

int main(int argc, char **argv)
{
    static struct board board;
    static struct rtlm_driver driver;
    struct rtlm_platform platform = { NULL, board_read32, board_write32, board_read_memory, board_write_memory, board_wait };
    struct rtlm_layout layout;
    enum rtlm_result result;
    uint64_t zeros = 0;
    char *manifest;
    platform.context = &board;
    if (argc < 5) {
        fprintf(stderr, "usage: %s xdma:/dev/xdmaN|uio:/dev/uioN,BUFFER[,ADDRESS] IMAGE COUNT TOKEN...\n", argv[0]);
        return 2;
    }
    manifest = read_text(argv[2], "manifest.json");
    if (!manifest || read_layout(manifest, &layout, &zeros)) {
        fprintf(stderr, "%s is no folder that rtlm image wrote\n", argv[2]);
        free(manifest);
        return 2;
    }
    result = strstr(manifest, "\"hash\": \"" RTLM_CONFIG_HASH "\"") ? RTLM_OK : RTLM_OTHER_IMAGE;
    free(manifest);
    if (result == RTLM_OK && open_board(&board, argv[1])) {
        fprintf(stderr, "%s is no board that can be used\n", argv[1]);
        return 2;
    }
    if (result == RTLM_OK)
        result = rtlm_open(&driver, &platform, PATIENCE);
    if (result == RTLM_OK)
        result = load(&driver, argv[2], zeros);
    if (result == RTLM_OK)
        result = rtlm_configure(&driver, &layout);
    if (result == RTLM_OK)
        result = decode(&driver, argv + 4, (uint32_t)(argc - 4), (uint32_t)strtoul(argv[3], NULL, 10));
    if (result == RTLM_OK)
        return 0;
    if (result == RTLM_STOPPED)
        fprintf(stderr, "%s: %s\n", rtlm_result_text(result), rtlm_error_text(driver.error));
    else
        fprintf(stderr, "%s\n", rtlm_result_text(result));
    return 1;
}
