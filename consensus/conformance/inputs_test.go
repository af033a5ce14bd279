package conformance

// Group E: inputs, amounts, signatures.
var inputCases = []conformanceCase{}
