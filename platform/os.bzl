"""The one place that says which systems Strata runs on: which implementation units a room of this floor is built from."""

def by_os(linux):
    """Chooses by the target's OS. A system that is not listed is an error that says so."""
    return select(
        {
            "@platforms//os:linux": linux,
        },
        no_match_error = "strata.platform is implemented for Linux only so far (constraint @platforms//os:linux). " +
                         "platform/README.md says what another system has to supply.",
    )
