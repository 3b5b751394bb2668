package audit

import (
	"fmt"
	"slices"
	"strings"

	"drayage/workloads/auditor/trips"
)

const mostExamples = 5

// examples counts faults and keeps the first few of them.
type examples struct {
	count int64
	first []string
}

func (e *examples) add(example string) {
	e.count++
	if len(e.first) < mostExamples {
		e.first = append(e.first, example)
	}
}

// Check is the result of one asset check.
type Check struct {
	Name    string
	Passed  bool
	Numbers map[string]any
	Finding string

	faults []string
	advice string
	month  string
}

func newCheck(name string, month trips.Month) *Check {
	return &Check{Name: name, Numbers: map[string]any{}, month: month.Text}
}

func (c *Check) number(name string, value any) { c.Numbers[name] = value }

// fault adds a number that must be zero, and what it means otherwise.
func (c *Check) fault(name string, found examples, meaning string) {
	c.number(name, found.count)
	if found.count == 0 {
		return
	}
	c.faults = append(c.faults, fmt.Sprintf("%d %s (%s%s)", found.count, meaning, strings.Join(found.first, ", "),
		map[bool]string{true: ", …"}[found.count > int64(len(found.first))]))
}

// disagree adds a fault in words.
func (c *Check) disagree(fault string) { c.faults = append(c.faults, fault) }

func (c *Check) todo(advice string) { c.advice = advice }

// done completes the check, which passes if it has no fault.
func (c *Check) done(ifPassed string) Check {
	c.Passed = len(c.faults) == 0
	c.Finding = ifPassed
	if !c.Passed {
		c.Finding = fmt.Sprintf("%s: %s. %s If another run is rebuilding this month, audit again afterwards.",
			c.month, strings.Join(c.faults, "; "), c.advice)
	}
	return *c
}

// sortedKeys returns a map's keys in order, so that texts made from the map are always the same.
func sortedKeys[K ~string | ~int64, V any](of map[K]V) []K {
	var keys []K
	for key := range of {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
