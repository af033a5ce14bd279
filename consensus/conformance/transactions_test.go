package conformance

// Group D: transactions by themselves.
var transactionCases = []conformanceCase{}
