package conformance

// Group B: block structure, merkle, witness.
var blockCases = []conformanceCase{}
