package conformance

// Group F: lock times.
var lockTimeCases = []conformanceCase{}
