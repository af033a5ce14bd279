// Package arch is the test that is the floor table: which package may import
// which, what only one package may import, and what a pure package must not do.
// It has no other code.
package arch
