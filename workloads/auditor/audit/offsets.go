package audit

import (
	"sort"

	"drayage/workloads/auditor/rows"
)

// offsets are records of one partition, each with a fingerprint and whether it has a row. Consecutive offsets take only
// the memory of their fingerprints, four bytes a record; each gap takes 24 bytes more.
type offsets struct {
	runs   []run
	prints []uint32
	found  rows.Bits // by place
}

// run is consecutive offsets; place is the first one's in prints.
type run struct{ first, place, length int64 }

// add adds the next record; offsets must increase.
func (o *offsets) add(offset int64, print uint64) {
	last := len(o.runs) - 1
	if last >= 0 && o.runs[last].first+o.runs[last].length == offset {
		o.runs[last].length++
	} else {
		o.runs = append(o.runs, run{offset, int64(len(o.prints)), 1})
	}
	o.prints = append(o.prints, uint32(print))
}

// place returns a record's position; false if there is no such record.
func (o *offsets) place(offset int64) (int64, bool) {
	at := sort.Search(len(o.runs), func(at int) bool { return o.runs[at].first > offset }) - 1
	if at < 0 || offset >= o.runs[at].first+o.runs[at].length {
		return 0, false
	}
	return o.runs[at].place + offset - o.runs[at].first, true
}

// each calls see for each record from offset start up to, but not including, end.
func (o *offsets) each(start, end int64, see func(offset, place int64)) {
	for _, run := range o.runs {
		for offset := max(start, run.first); offset < min(end, run.first+run.length); offset++ {
			see(offset, run.place+offset-run.first)
		}
	}
}

// count returns the number of records from offset start up to, but not including, end.
func (o *offsets) count(start, end int64) int64 {
	var count int64
	for _, run := range o.runs {
		count += max(0, min(end, run.first+run.length)-max(start, run.first))
	}
	return count
}
