/* Driver of the accelerator @NAME@; see driver.h. */

#include "driver.h"

#define RESET_POLLS 1000u
#define NO_ANSWER 0xffffffffu

/* The image's header: places of its fields, all little-endian. */
#define HEADER_BYTES 60u
#define HEADER_VERSION 8u
#define HEADER_WORD_BYTES 12u
#define HEADER_HASH 16u
#define HEADER_CHECKSUM 56u
#define IMAGE_VERSION @IMAGE_VERSION@

static uint32_t read32(const struct rtlm_driver *driver, uint32_t offset)
{
    return driver->platform->read32(driver->platform->context, offset);
}

static void write32(const struct rtlm_driver *driver, uint32_t offset, uint32_t value)
{
    driver->platform->write32(driver->platform->context, offset, value);
}

static uint32_t little_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* CRC-32 as zlib computes it. */
static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    size_t i;
    int bit;
    for (i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1u ? 0xedb88320u : 0u);
    }
    return ~crc;
}

enum rtlm_result rtlm_reset(const struct rtlm_driver *driver)
{
    uint32_t poll;
    write32(driver, RTLM_CONTROL, RTLM_CONTROL_RESET_MASK);
    for (poll = 0; poll < RESET_POLLS; poll++) {
        uint32_t status = read32(driver, RTLM_STATUS);
        if (status == NO_ANSWER)
            return RTLM_NO_ANSWER;
        if (!(status & RTLM_STATUS_RESETTING_MASK))
            return RTLM_OK;
    }
    return RTLM_NO_RESET;
}

enum rtlm_result rtlm_open(struct rtlm_driver *driver, const struct rtlm_platform *platform, uint32_t patience)
{
    uint32_t status;
    driver->platform = platform;
    driver->patience = patience;
    driver->error = RTLM_ERROR_NONE;
    if (read32(driver, RTLM_ID) != RTLM_ID_VALUE)
        return RTLM_NO_ACCELERATOR;
    if (read32(driver, RTLM_VERSION) != RTLM_VERSION_VALUE)
        return RTLM_OTHER_VERSION;
    if (read32(driver, RTLM_CONFIG_HASH_LOW) != RTLM_CONFIG_HASH_LOW_VALUE
        || read32(driver, RTLM_CONFIG_HASH_HIGH) != RTLM_CONFIG_HASH_HIGH_VALUE)
        return RTLM_OTHER_CONFIGURATION;
    status = read32(driver, RTLM_STATUS);
    if (status == NO_ANSWER)
        return RTLM_NO_ANSWER;
    if (status & (RTLM_STATUS_BUSY_MASK | RTLM_STATUS_ERROR_MASK | RTLM_STATUS_RESETTING_MASK))
        return rtlm_reset(driver);
    write32(driver, RTLM_CONTROL, RTLM_CONTROL_CLEAR_DONE_MASK);
    return RTLM_OK;
}

enum rtlm_result rtlm_read_linear(const struct rtlm_driver *driver, uint64_t linear, uint8_t *content, size_t bytes)
{
    const uint64_t beats_per_chunk = RTLM_CHUNK_BYTES / RTLM_PORT_BYTES;
    while (bytes) {
        uint64_t beat = linear / (RTLM_PORTS * RTLM_PORT_BYTES);
        uint64_t port = linear / RTLM_PORT_BYTES % RTLM_PORTS;
        uint64_t within = linear % RTLM_PORT_BYTES;
        uint64_t address = (beat / beats_per_chunk * RTLM_PORTS + port) * RTLM_CHUNK_BYTES
            + beat % beats_per_chunk * RTLM_PORT_BYTES + within;
        size_t count = (size_t)(RTLM_PORT_BYTES - within);
        if (count > bytes)
            count = bytes;
        if (driver->platform->read_memory(driver->platform->context, address, content, count))
            return RTLM_MEMORY_FAILED;
        linear += count;
        content += count;
        bytes -= count;
    }
    return RTLM_OK;
}

static enum rtlm_result check_image(const struct rtlm_driver *driver)
{
    static const uint8_t magic[8] = { 'R', 'T', 'L', 'M', 'I', 'M', 'G', 0 };
    uint8_t header[HEADER_BYTES];
    enum rtlm_result result = rtlm_read_linear(driver, 0, header, sizeof header);
    size_t i;
    if (result != RTLM_OK)
        return result;
    for (i = 0; i < sizeof magic; i++)
        if (header[i] != magic[i])
            return RTLM_NO_IMAGE;
    if (little_endian(header + HEADER_VERSION) != IMAGE_VERSION)
        return RTLM_OTHER_IMAGE;
    if (little_endian(header + HEADER_CHECKSUM) != crc32(header, HEADER_CHECKSUM))
        return RTLM_DAMAGED_IMAGE;
    if (little_endian(header + HEADER_WORD_BYTES) != RTLM_WORD_BYTES
        || little_endian(header + HEADER_HASH) != RTLM_CONFIG_HASH_LOW_VALUE
        || little_endian(header + HEADER_HASH + 4) != RTLM_CONFIG_HASH_HIGH_VALUE)
        return RTLM_OTHER_IMAGE;
    return RTLM_OK;
}

enum rtlm_result rtlm_clear(const struct rtlm_driver *driver, uint64_t address, uint64_t bytes)
{
    static const uint8_t zeros[4096];
    while (bytes) {
        size_t count = bytes < sizeof zeros ? (size_t)bytes : sizeof zeros;
        if (driver->platform->write_memory(driver->platform->context, address, zeros, count))
            return RTLM_MEMORY_FAILED;
        address += count;
        bytes -= count;
    }
    return RTLM_OK;
}

enum rtlm_result rtlm_configure(struct rtlm_driver *driver, const struct rtlm_layout *layout)
{
    enum rtlm_result result = check_image(driver);
    if (result != RTLM_OK)
        return result;
    driver->layout = *layout;
    write32(driver, RTLM_PROGRAM_BASE, layout->program_base);
    write32(driver, RTLM_PROGRAM_WORDS, layout->program_words);
    write32(driver, RTLM_PROGRAM_CRC, layout->program_crc);
    write32(driver, RTLM_LIMIT, layout->limit);
    return RTLM_OK;
}

static enum rtlm_result wait_for_end(struct rtlm_driver *driver)
{
    uint32_t waits;
    enum rtlm_result result;
    for (waits = 0; waits < driver->patience; waits++) {
        uint32_t status;
        driver->platform->wait(driver->platform->context);
        status = read32(driver, RTLM_STATUS);
        if (status == NO_ANSWER)
            return RTLM_NO_ANSWER;
        if (status & RTLM_STATUS_ERROR_MASK) {
            driver->error = read32(driver, RTLM_ERROR);
            return RTLM_STOPPED;
        }
        if (status & RTLM_STATUS_DONE_MASK) {
            /* The interrupt falls, so that the next step's is another. */
            write32(driver, RTLM_CONTROL, RTLM_CONTROL_CLEAR_DONE_MASK);
            return RTLM_OK;
        }
    }
    result = rtlm_reset(driver);
    return result == RTLM_OK ? RTLM_TIMEOUT : result;
}

enum rtlm_result rtlm_step(
    struct rtlm_driver *driver, const struct rtlm_column *columns, uint32_t count, uint32_t *best)
{
    uint32_t c;
    enum rtlm_result result;
    if (count < 1 || count > RTLM_TOKEN_COUNT)
        return RTLM_BAD_COLUMNS;
    for (c = 0; c < count; c++)
        if (columns[c].slot >= RTLM_TOKEN_COUNT)
            return RTLM_BAD_COLUMNS;
    driver->error = RTLM_ERROR_NONE;
    write32(driver, RTLM_COLUMNS, count);
    for (c = 0; c < count; c++) {
        write32(driver, RTLM_TOKEN(c), columns[c].token);
        write32(driver, RTLM_POSITION(c), columns[c].position);
        write32(driver, RTLM_HISTORY(c), columns[c].history);
        write32(driver, RTLM_LOCAL_FIRST(c), columns[c].local_first);
        write32(driver, RTLM_KV_BASE(c), driver->layout.kv_base[columns[c].slot]);
    }
    write32(driver, RTLM_CONTROL, RTLM_CONTROL_START_MASK | (best ? 0u : RTLM_CONTROL_NO_LOGITS_MASK));
    result = wait_for_end(driver);
    if (result != RTLM_OK || !best)
        return result;
    for (c = 0; c < count; c++)
        best[c] = read32(driver, RTLM_BEST(c));
    return RTLM_OK;
}

enum rtlm_result rtlm_decode(struct rtlm_driver *driver, uint32_t token, uint32_t position, uint32_t *best)
{
    struct rtlm_column column;
    column.token = token;
    column.position = position;
    column.history = position;
    column.local_first = 0;
    column.slot = 0;
    return rtlm_step(driver, &column, 1, best);
}

uint32_t rtlm_cycles(const struct rtlm_driver *driver)
{
    return read32(driver, RTLM_CYCLES);
}

const char *rtlm_result_text(enum rtlm_result result)
{
    switch (result) {
    case RTLM_OK:
        return "all is well";
    case RTLM_NO_ACCELERATOR:
        return "the device's ID register is not an accelerator's";
    case RTLM_OTHER_VERSION:
        return "the accelerator has another version of the register map";
    case RTLM_OTHER_CONFIGURATION:
        return "the accelerator was built from another configuration than " RTLM_CONFIG_HASH;
    case RTLM_NO_ANSWER:
        return "the accelerator does not answer: its registers read as ones";
    case RTLM_NO_IMAGE:
        return "the accelerator's memory does not begin with a memory image";
    case RTLM_OTHER_IMAGE:
        return "the memory image is for another configuration than " RTLM_CONFIG_HASH;
    case RTLM_DAMAGED_IMAGE:
        return "the memory image's header is damaged";
    case RTLM_MEMORY_FAILED:
        return "the accelerator's memory could not be read or written";
    case RTLM_TIMEOUT:
        return "the step did not end in time; the accelerator was reset and can be used again";
    case RTLM_NO_RESET:
        return "the accelerator has not come out of reset";
    case RTLM_STOPPED:
        return "the accelerator stopped with an error";
    case RTLM_BAD_COLUMNS:
        return "the columns and slots of a step must be those that the accelerator has";
    case RTLM_RESULTS:
        break;
    }
    return "no result of this driver";
}

const char *rtlm_error_text(uint32_t error)
{
    switch (error) {
@ERROR_CASES@
    }
    return "no error that an accelerator has";
}
