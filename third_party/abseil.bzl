"""Abseil as Debian ships it (package libabsl-dev), under the labels of its own Bazel build.

The headers lie on the compiler's own path; a target only has to name the libraries to link. A target that Strata comes to use
is one more line here.
"""

_TARGETS = {
    "absl/base": {
        "core_headers": [],
        "config": [],
    },
    "absl/debugging": {
        "stacktrace": ["absl_stacktrace"],
        "symbolize": ["absl_symbolize"],
    },
    "absl/flags": {
        "config": ["absl_flags_config"],
        "flag": ["absl_flags_commandlineflag", "absl_flags_internal", "absl_flags_marshalling", "absl_flags_reflection"],
        "parse": ["absl_flags_parse"],
        "usage": ["absl_flags_usage"],
    },
    "absl/functional": {
        "function_ref": [],
    },
    "absl/status": {
        "status": ["absl_status"],
        "statusor": ["absl_statusor", "absl_status"],
    },
    "absl/strings": {
        "strings": ["absl_strings", "absl_throw_delegate"],
        "str_format": ["absl_str_format_internal"],
    },
}

_TARGET = """
cc_library(
    name = "{name}",
    linkopts = {linkopts},
)
"""

def _debian_abseil_impl(ctx):
    if not ctx.path("/usr/include/absl").exists:
        fail("Abseil is not installed: apt-get install libabsl-dev, or declare com_google_absl before strata_deps()")
    for package, targets in _TARGETS.items():
        text = "package(default_visibility = [\"//visibility:public\"])\n"
        for name, libraries in targets.items():
            text += _TARGET.format(name = name, linkopts = ["-l" + l for l in libraries])
        ctx.file(package + "/BUILD", text)

debian_abseil = repository_rule(implementation = _debian_abseil_impl, local = True)
