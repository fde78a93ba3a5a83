"""The one place that says which systems Strata runs on: which implementation units a room of this floor is built from."""

# target_compatible_with of what exists on one system only.
LINUX = [
    "@platforms//os:linux",
    "//platform/os:native",
]
SOLARIS = ["//platform/os:solaris"]

def by_os(linux, solaris):
    """Chooses by the target's OS. A system that is not listed is an error that says so."""
    return select(
        {
            "//platform/os:on_linux": linux,
            "//platform/os:on_solaris": solaris,
        },
        no_match_error = "strata.platform is implemented for Linux (constraint @platforms//os:linux) and Solaris (constraint " +
                         "//platform/os:solaris). platform/README.md says what another system has to supply.",
    )
