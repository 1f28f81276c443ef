package prepare_test

import (
	"bytes"
	"testing"

	"docstream/schemas"
)

func TestADocumentAtAnAddressIsHandedOnAndOpenedWhenItsBytesCame(t *testing.T) {
	b := newBench(t, pool(t, nil), nil)
	whole := b.submit(pdfType, book(2))
	asked := *whole
	asked.Source = schemas.Source{URL: "https://example.org/book.pdf"}
	wire := []byte("as it came")

	events := b.work(t, &asked, schemas.Delivery{Attempt: 1, Wire: wire})
	if got, want := outline(events), "FetchScheduled; continue 0 cpu high"; got != want {
		t.Fatalf("an address gives %s, want %s", got, want)
	}
	said, next := events[0].(*schemas.FetchScheduled), events[1].(*schemas.DocumentSubmitted)
	if !bytes.Equal(said.Submission, wire) || said.JobID != job || said.EventID == "" || said.EventID == next.EventID || next.EventID == asked.EventID {
		t.Errorf("the fold hears %+v beside %+v", said, next)
	}
	if again := b.work(t, &asked, schemas.Delivery{Attempt: 2, Wire: wire}); again[1].(*schemas.DocumentSubmitted).EventID != next.EventID {
		t.Error("a second attempt asks with another id")
	}

	fetched := *next
	fetched.FromPage, fetched.Source = 1, whole.Source
	fetched.Source.URL = asked.Source.URL
	if got, want := outline(b.work(t, &fetched, schemas.Delivery{Attempt: 1, Wire: wire})), "opened 2 1-2 application/pdf; text 1; text 2"; got != want {
		t.Errorf("its bytes give %s, want %s", got, want)
	}
}
