"""The one flag list. A BMI is refused, or worse, silently misread, by a unit compiled with other flags: no target adds its own."""

# What a BMI and its importers must agree on.
LANGUAGE = [
    "-std=c++20",
    "-pthread",
]

# What Strata's own code is held to. Warnings change no BMI, so a user's workspace may leave them off (//bazel:strict).
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wthread-safety",
    "-Wconversion",
    "-Wsign-conversion",
    "-Wshadow",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wold-style-cast",
    "-Wcast-align",
    "-Wimplicit-fallthrough",
    "-Wmissing-noreturn",
    "-Wundef",
    "-Winclude-angled-in-module-purview",
    "-Werror",
]
