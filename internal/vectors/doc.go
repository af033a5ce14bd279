// Package vectors answers one question for tests: where are the published test
// vectors? They are data of others and not part of the repository: a test that
// does not find them is skipped, and says so.
package vectors
