package conformance

// Group G: reorganisation and chain choice.
var reorgCases = []conformanceCase{}
