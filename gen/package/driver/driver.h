/* Driver of the accelerator @NAME@ (configuration @HASH@).
 *
 * C99 without a library: no memory is allocated, every wait has an end, every function that can fail returns one of
 * enum rtlm_result. What depends on the platform are the five functions of struct rtlm_platform; main.c has them for
 * two kinds of Linux devices. Byte addresses are the accelerator's: 0 is where the memory image begins. */

#ifndef RTLM_DRIVER_H
#define RTLM_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "../registers.h"

#define RTLM_CONFIG_HASH "@HASH@"
#define RTLM_CONFIG_HASH_LOW_VALUE @HASH_LOW@
#define RTLM_CONFIG_HASH_HIGH_VALUE @HASH_HIGH@

/* The memory: words of so many bytes, striped over the ports in chunks. */
#define RTLM_WORD_BYTES @WORD_BYTES@
#define RTLM_PORTS @PORTS@
#define RTLM_PORT_BYTES @PORT_BYTES@
#define RTLM_CHUNK_BYTES @CHUNK_BYTES@

enum rtlm_result {
    RTLM_OK = 0,
    RTLM_NO_ACCELERATOR,      /* ID is another one */
    RTLM_OTHER_VERSION,       /* VERSION is another one */
    RTLM_OTHER_CONFIGURATION, /* the configuration's hash is another one */
    RTLM_NO_ANSWER,           /* registers read as ones */
    RTLM_NO_IMAGE,            /* memory does not begin with an image */
    RTLM_OTHER_IMAGE,         /* the image is for another configuration */
    RTLM_DAMAGED_IMAGE,       /* the header's checksum is another one */
    RTLM_MEMORY_FAILED,       /* the platform could not move bytes */
    RTLM_TIMEOUT,             /* the step did not end; the accelerator was reset */
    RTLM_NO_RESET,            /* the accelerator did not come out of a reset */
    RTLM_STOPPED,             /* the accelerator stopped with an error: rtlm_driver.error; rtlm_reset it */
    RTLM_BAD_COLUMNS,         /* a step has 1 to RTLM_TOKEN_COUNT columns */
    RTLM_RESULTS              /* number of results */
};

/* The platform. Memory functions return 0, or anything else if they fail; they see to caches. */
struct rtlm_platform {
    void *context; /* given to the functions */
    uint32_t (*read32)(void *context, uint32_t offset);
    void (*write32)(void *context, uint32_t offset, uint32_t value);
    int (*read_memory)(void *context, uint64_t address, void *content, size_t bytes);
    int (*write_memory)(void *context, uint64_t address, const void *content, size_t bytes);
    void (*wait)(void *context); /* until the interrupt, or a while; the driver looks at STATUS then */
};

/* Where things lie in memory, from the manifest beside the image. Addresses in beats. */
struct rtlm_layout {
    uint32_t program_base;
    uint32_t program_words;
    uint32_t program_crc;
    uint32_t limit;
    uint32_t kv_base[RTLM_TOKEN_COUNT];
};

/* One column of a step: a token of a sequence. */
struct rtlm_column {
    uint32_t token;
    uint32_t position;
    uint32_t history;     /* positions of its sequence before this step */
    uint32_t local_first; /* first column of this step that it attends to */
    uint32_t slot;        /* KV slot of its sequence */
};

struct rtlm_driver {
    const struct rtlm_platform *platform;
    struct rtlm_layout layout;
    uint32_t patience; /* calls of wait() that a step may take */
    uint32_t error;    /* ERROR of the last step */
};

/* Check that this is the accelerator, and reset it if something was left running. */
enum rtlm_result rtlm_open(struct rtlm_driver *driver, const struct rtlm_platform *platform, uint32_t patience);

/* Write zeros, as KV cache and results must be before the first step. */
enum rtlm_result rtlm_clear(const struct rtlm_driver *driver, uint64_t address, uint64_t bytes);

/* Say where things lie, and check the header in memory, behind rtlm_open and the loading of the image. */
enum rtlm_result rtlm_configure(struct rtlm_driver *driver, const struct rtlm_layout *layout);

/* Feed one token for each column. With logits, best[] gets the arg-max token of each column; NULL leaves them out. */
enum rtlm_result rtlm_step(
    struct rtlm_driver *driver, const struct rtlm_column *columns, uint32_t count, uint32_t *best);

/* Feed one token of one sequence in slot 0. */
enum rtlm_result rtlm_decode(struct rtlm_driver *driver, uint32_t token, uint32_t position, uint32_t *best);

/* Stop whatever runs; memory and registers keep their content. */
enum rtlm_result rtlm_reset(const struct rtlm_driver *driver);

/* Cycles of the last step. */
uint32_t rtlm_cycles(const struct rtlm_driver *driver);

/* Read bytes in linear order (the order of words), such as logits, from the chunks in which they lie. */
enum rtlm_result rtlm_read_linear(const struct rtlm_driver *driver, uint64_t linear, uint8_t *content, size_t bytes);

/* Texts without a full stop, for messages. */
const char *rtlm_result_text(enum rtlm_result result);
const char *rtlm_error_text(uint32_t error);

#endif /* RTLM_DRIVER_H */
