"""The compiled kernels: every .pyx in fastconv/kernels/native, once per instruction-set level.

Everything else about the package is in pyproject.toml. No compiler, or no threads, is not a failed installation: the
build says what is missing and what the package will do instead.
"""
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("fastconv/kernels/native")
SOURCES = sorted(NATIVE.glob("*.pyx"))
# Never -ffast-math: nan and inf in the data must come out as IEEE 754 says.
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-g0"]
# For a checking build: FASTCONV_SANITIZE=address,undefined pip install -e .
if os.environ.get("FASTCONV_SANITIZE"):
    FLAGS += [f"-fsanitize={os.environ['FASTCONV_SANITIZE']}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
              "-g", "-O1"]
THREADS = ["-pthread"]  # when compiling and linking
LEVELS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    LEVELS |= {
        "baseline": ["-march=x86-64"],
        "x86_64_v3": ["-march=x86-64-v3"],
        "x86_64_v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    }
ONCE = {"cpu", "pool"}  # what every level shares, built in the baseline folder

THREADS_PROBE = """
#include <pthread.h>
static void *raise_it(void *n) { return ++*(int *)n, n; }
int main(void) {
    pthread_t thread;
    int n = 0;
    if (pthread_atfork(0, 0, 0) || pthread_create(&thread, 0, raise_it, &n) || pthread_join(thread, 0)) return 1;
    return n == 1 ? 0 : 1;
}
"""
VECTOR_PROBE = """
typedef float vector __attribute__((vector_size(16)));
int main(void) { vector a = {1, 2, 3, 4}; a += 2 * a; return a[3] == 12 ? 0 : 1; }
"""


def extension(level, source):
    return Extension(f"fastconv.kernels.native.{level}.{source.stem}", [str(source)], optional=True)


class BuildKernels(build_ext):
    """Probe the compiler, translate each .pyx to C once, compile the C once per level."""

    def build_extensions(self):
        if not self.works(VECTOR_PROBE, run=True):
            self.skip("no working C compiler with vector extensions (gcc or clang) was found: fastconv is installed "
                      "without its compiled kernels and will run on NumPy, many times slower. To get them: install a "
                      "compiler (Debian and Ubuntu: apt install gcc python3-dev) and install fastconv again. Without a "
                      "compiler: pip install 'fastconv[numba]' brings kernels that Numba compiles.")
            return
        threads = [THREADS, THREADS]
        if not self.works(THREADS_PROBE, *threads, run=True):
            threads = [["-DFASTCONV_SERIAL"], []]
            say("POSIX threads do not work with this compiler: the kernels will run on one thread.")
        levels = [name for name, flags in LEVELS.items() if self.works(VECTOR_PROBE, flags)]
        for name in LEVELS.keys() - set(levels):
            say(f"this compiler cannot compile for {name}: that level is left out.")
        c_files = self.translate()
        self.extensions = [ext for ext in self.extensions if level_of(ext) in levels]
        for ext in self.extensions:
            self.configure(ext, c_files[ext.sources[0]], *threads)
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def translate(self):
        """Return {.pyx: .c}: Cython runs once for all levels."""
        from Cython.Build import cythonize
        modules = [Extension(f"fastconv.kernels.native.{source.stem}", [str(source)]) for source in SOURCES]
        done = cythonize(modules, build_dir=self.build_temp, nthreads=0, quiet=True, compiler_directives={
            "language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True,
            "initializedcheck": False, "binding": True, "embedsignature": False})
        return {str(source): module.sources[0] for source, module in zip(SOURCES, done, strict=True)}

    def configure(self, ext, c_file, compile_threads, link_threads):
        import numpy
        level = level_of(ext)
        own_copy = Path(self.build_temp, level, Path(c_file).name)  # one object file per level
        own_copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(c_file, own_copy)
        ext.sources = [str(own_copy)]
        ext.depends = [str(header) for header in NATIVE.glob("*.h")]
        ext.include_dirs = [str(NATIVE), numpy.get_include()]
        ext.define_macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
        ext.extra_compile_args = FLAGS + LEVELS[level] + compile_threads
        ext.extra_link_args = link_threads + [flag for flag in FLAGS if flag.startswith("-fsanitize")]

    def copy_extensions_to_source(self):
        for level in {level_of(ext) for ext in self.extensions}:
            (NATIVE / level).mkdir(exist_ok=True)
        super().copy_extensions_to_source()

    def works(self, program, compile_args=(), link_args=(), run=False):
        """Say whether a small program compiles, links and (if asked) runs."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(program)
            try:
                objects = self.compiler.compile([str(source)], folder, extra_postargs=list(compile_args))
                self.compiler.link_executable(objects, str(Path(folder, "probe")), extra_postargs=list(link_args))
                return not run or subprocess.run([str(Path(folder, "probe"))], timeout=60).returncode == 0
            except Exception:  # a compiler fails in its own class of error; each means "does not work"
                return False

    def skip(self, reason):
        say(reason)
        self.extensions = []


def level_of(ext):
    return ext.name.split(".")[-2]


def say(message):
    print(f"\nfastconv: {message}\n", file=sys.stderr, flush=True)


setup(
    ext_modules=[extension(level, source) for level in LEVELS for source in SOURCES
                 if level == "baseline" or source.stem not in ONCE],
    cmdclass={"build_ext": BuildKernels},
)
