"""zlib as Debian ships it (package zlib1g-dev), under the label of its own Bazel build.

The header lies on the compiler's own path; the target only has to name the library to link.
"""

_BUILD = """
package(default_visibility = ["//visibility:public"])

licenses(["notice"])

cc_library(
    name = "zlib",
    linkopts = ["-lz"],
)
"""

def _debian_zlib_impl(ctx):
    if not ctx.path("/usr/include/zlib.h").exists:
        fail("zlib is not installed: apt-get install zlib1g-dev, or declare zlib before strata_deps()")
    ctx.file("BUILD", _BUILD)

debian_zlib = repository_rule(implementation = _debian_zlib_impl, local = True)
