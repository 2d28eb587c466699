// Device files of Linux without the devices: preloaded into a program, this library passes what the program does with
// them to the process that steps the accelerator (rtlm.host.boards.stand_in).
//
// It answers open, mmap, pread, pwrite, and write to attributes. Accesses to mapped registers are trapped one by one:
// the page may not be touched; when it is, the register's value is fetched, the instruction is run alone (single step),
// and what it has written is sent. Interrupts need nothing: their file's descriptor is a socket, so that read, write and
// poll are the kernel's own. Memory that is mapped is a file that the process shares.

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <mutex>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <ucontext.h>
#include <unistd.h>

#if !defined(__x86_64__)
#error "Accesses are trapped by the single step of x86-64."
#endif

namespace {

constexpr int FILES = 1024;
constexpr size_t PAGE = 4096;
constexpr uint64_t SINGLE_STEP = 0x100;  // trap flag of the flags register
constexpr uint64_t WRITE_FAULT = 2;      // of the page fault's error code
constexpr uint32_t NO_ANSWER = 0xffffffff;

enum Operation : uint32_t { OPEN = 1, READ_REGISTER, WRITE_REGISTER, READ_MEMORY, WRITE_MEMORY };
enum Kind : uint32_t { OTHER = 0, ALIAS = 1, REGISTERS = 2, MEMORY = 4, INTERRUPT = 8, DOORBELL = 16 };

struct Request {
    uint32_t operation, count;
    uint64_t address;
};

std::recursive_mutex lock;
int link_to_server = -1;
uint32_t kinds[FILES];
char *registers = nullptr;
size_t registers_size = 0;
uint64_t access_offset = 0;
bool access_writes = false;

bool transfer_all(int file, char *data, size_t size, bool sending) {
    while (size) {
        ssize_t moved = sending ? send(file, data, size, MSG_NOSIGNAL) : recv(file, data, size, 0);
        if (moved < 0 && errno == EINTR) continue;
        if (moved <= 0) return false;
        data += moved;
        size -= size_t(moved);
    }
    return true;
}

int connect_to_server() {
    const char *path = getenv("RTLM_STAND_IN");
    if (!path) return -1;
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (file >= 0 && connect(file, reinterpret_cast<sockaddr *>(&address), sizeof address) == 0) return file;
    if (file >= 0) syscall(SYS_close, file);
    return -1;
}

// Send a request and read how many bytes were moved, or an error as a negative number; then those bytes, if they come.
int64_t ask(int file, Request request, const void *out, void *in) {
    int64_t result = -EIO;
    const bool sends = request.operation == WRITE_MEMORY || request.operation == OPEN;
    if (!transfer_all(file, reinterpret_cast<char *>(&request), sizeof request, true)) return -EIO;
    if (sends && !transfer_all(file, static_cast<char *>(const_cast<void *>(out)), request.count, true)) return -EIO;
    if (!transfer_all(file, reinterpret_cast<char *>(&result), sizeof result, false)) return -EIO;
    if (in && result > 0 && !transfer_all(file, static_cast<char *>(in), size_t(result), false)) return -EIO;
    return result;
}

uint32_t read_register(uint64_t offset) {
    uint32_t value = NO_ANSWER;
    if (ask(link_to_server, {READ_REGISTER, 4, offset}, nullptr, &value) != 4) return NO_ANSWER;
    return value;
}

void on_touch(int signal_number, siginfo_t *info, void *context) {
    auto *place = static_cast<char *>(info->si_addr);
    if (!registers || place < registers || place >= registers + registers_size) {
        signal(signal_number, SIG_DFL);  // a fault of the program itself: it happens again
        return;
    }
    auto &state = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    access_offset = uint64_t(place - registers);
    access_writes = (uint64_t(state[REG_ERR]) & WRITE_FAULT) != 0;
    mprotect(registers, registers_size, PROT_READ | PROT_WRITE);
    if (!access_writes) *reinterpret_cast<uint32_t *>(place) = read_register(access_offset);
    state[REG_EFL] |= SINGLE_STEP;
}

void on_step(int, siginfo_t *, void *context) {
    auto &state = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    state[REG_EFL] &= ~int64_t(SINGLE_STEP);
    if (access_writes) {
        uint32_t value = *reinterpret_cast<uint32_t *>(registers + access_offset);
        ask(link_to_server, {WRITE_REGISTER, value, access_offset}, nullptr, nullptr);
    }
    mprotect(registers, registers_size, PROT_NONE);
}

void *map_registers(size_t size) {
    registers_size = (size + PAGE - 1) / PAGE * PAGE;
    auto *page = reinterpret_cast<void *>(
        syscall(SYS_mmap, nullptr, registers_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    registers = static_cast<char *>(page);
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_touch;
    sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = on_step;
    sigaction(SIGTRAP, &action, nullptr);
    return page;
}

int real_open(const char *path, int flags, mode_t mode) { return int(syscall(SYS_openat, AT_FDCWD, path, flags, mode)); }

int open_file(const char *path, int flags, mode_t mode) {
    if (strncmp(path, "/dev/", 5) != 0 && strncmp(path, "/sys/class/", 11) != 0) return real_open(path, flags, mode);
    std::lock_guard<std::recursive_mutex> guard(lock);
    int file = connect_to_server();
    if (file < 0) return real_open(path, flags, mode);
    uint32_t kind_and_path[1025] = {};
    int64_t got = ask(file, {OPEN, uint32_t(strlen(path)), uint64_t(flags)}, path, kind_and_path);
    if (got < 4) {
        syscall(SYS_close, file);
        if (got < 0) {
            errno = int(-got);
            return -1;
        }
        return real_open(path, flags, mode);
    }
    uint32_t kind = kind_and_path[0];
    if (kind == OTHER || kind == ALIAS) {
        syscall(SYS_close, file);
        return real_open(kind == ALIAS ? reinterpret_cast<char *>(kind_and_path + 1) : path, flags & ~O_SYNC, mode);
    }
    if (kind & REGISTERS && link_to_server < 0) link_to_server = connect_to_server();
    if (file < FILES) kinds[file] = kind;
    return file;
}

bool is_memory(int file) { return file >= 0 && file < FILES && kinds[file] & MEMORY; }

ssize_t finish(int64_t result) {
    if (result >= 0) return ssize_t(result);
    errno = int(-result);
    return -1;
}

ssize_t move(Operation operation, int file, void *data, size_t count, off_t place) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    Request request{operation, uint32_t(count), uint64_t(place)};
    return finish(operation == WRITE_MEMORY ? ask(file, request, data, nullptr) : ask(file, request, nullptr, data));
}

template <typename Function> Function next(const char *name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return open_file(path, flags, mode);
}

ssize_t pread(int file, void *data, size_t count, off_t place) {
    if (is_memory(file)) return move(READ_MEMORY, file, data, count, place);
    return next<ssize_t (*)(int, void *, size_t, off_t)>("pread")(file, data, count, place);
}

ssize_t pread64(int file, void *data, size_t count, off64_t place) { return pread(file, data, count, place); }

ssize_t pwrite(int file, const void *data, size_t count, off_t place) {
    if (is_memory(file)) return move(WRITE_MEMORY, file, const_cast<void *>(data), count, place);
    return next<ssize_t (*)(int, const void *, size_t, off_t)>("pwrite")(file, data, count, place);
}

ssize_t pwrite64(int file, const void *data, size_t count, off64_t place) { return pwrite(file, data, count, place); }

ssize_t preadv(int file, const struct iovec *parts, int count, off_t place) {
    struct Part {
        void *base;
        size_t length;
    };
    auto *part = reinterpret_cast<const Part *>(parts);
    if (is_memory(file) && count == 1) return move(READ_MEMORY, file, part->base, part->length, place);
    return next<ssize_t (*)(int, const struct iovec *, int, off_t)>("preadv")(file, parts, count, place);
}

ssize_t preadv64(int file, const struct iovec *parts, int count, off64_t place) {
    return preadv(file, parts, count, place);
}

// What Python calls for os.preadv.
ssize_t preadv64v2(int file, const struct iovec *parts, int count, off64_t place, int flags) {
    if (is_memory(file)) return preadv(file, parts, count, place);
    return next<ssize_t (*)(int, const struct iovec *, int, off64_t, int)>("preadv64v2")(file, parts, count, place, flags);
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t place) {
    if (file >= 0 && file < FILES && kinds[file] & REGISTERS) return map_registers(size);
    return reinterpret_cast<void *>(syscall(SYS_mmap, address, size, protection, flags, file, place));
}

void *mmap64(void *address, size_t size, int protection, int flags, int file, off64_t place) {
    return mmap(address, size, protection, flags, file, place);
}

ssize_t write(int file, const void *data, size_t count) {
    if (file >= 0 && file < FILES && kinds[file] & DOORBELL)
        return move(WRITE_MEMORY, file, const_cast<void *>(data), count, 0);
    return ssize_t(syscall(SYS_write, file, data, count));
}

int munmap(void *address, size_t size) {
    if (address == registers) registers = nullptr;
    return int(syscall(SYS_munmap, address, size));
}

int close(int file) {
    if (file >= 0 && file < FILES) kinds[file] = OTHER;
    return int(syscall(SYS_close, file));
}

}  // extern "C"
