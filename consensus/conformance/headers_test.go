package conformance

// Group A: headers.
var headerCases = []conformanceCase{}
