// Package tools names the program whose modules go.sum holds the hashes of.
package tools

import _ "github.com/temporalio/cli/cmd/temporal"
