// A cocotb simulation on a system whose Python is a program without a shared library, as Debian's is: the simulation is
// the library. It is loaded before Python's own code (LD_PRELOAD) and takes the place of its main, so that cocotb finds
// the functions of Python in the program, and Python itself has not started when cocotb starts it.
#include <dlfcn.h>
#include <stdlib.h>

using Main = int (*)(int, char**, char**);
using Start = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

extern "C" int simulation_main(int, char**, char**) __asm__("main");

extern "C" int __libc_start_main(Main, int argc, char** argv, void (*init)(), void (*fini)(), void (*exit)(), void* end) {
  unsetenv("LD_PRELOAD");
  const auto start = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return start(simulation_main, argc, argv, init, fini, exit, end);
}
