package conformance

// Group H: mempool and relay policy.
var mempoolCases = []conformanceCase{}
