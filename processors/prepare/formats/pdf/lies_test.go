package pdf_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"docstream/processors/prepare/formats/pdf/pdftest"
)

// Sentences in the letters of WinAnsi, which the fonts of the tests have.
var spoken = map[string]string{
	"English": "The harbour was quiet when the first boat came in, its sails wet from the long night and its crew too tired to sing. Nobody waited on the pier except an old dog and a boy with a lamp, who counted the baskets as they came ashore one by one until the sun stood over the hills and everyone went home.",
	"German":  "Der Hafen lag still, als das erste Boot einlief, die Segel schwer vom Nachtregen, die Mannschaft zu müde zum Singen. Niemand wartete auf der Mole außer einem alten Hund und einem Jungen mit Lampe, der die Körbe zählte, während sie nacheinander an Land gebracht wurden, bis die Sonne über den Hügeln stand. Rechtsschutzversicherung.",
	"Polish":  "Port byl cichy, kiedy pierwsza lodz wplynela, zagle mokre po dlugiej nocy, zaloga zbyt zmeczona, zeby spiewac. Nikt nie czekal na przystani oprocz starego psa i chlopca z lampa, ktory liczyl kosze wyladowywane jeden po drugim, dopoki slonce nie stanelo nad wzgorzami i wszyscy poszli do domu przez szczyt wzgorza.",
	"Czech":   "Pristav byl tichy, kdyz prvni lod priplula, plachty mokre po dlouhe noci a posadka prilis unavena na zpev. Nikdo necekal na molu krome stareho psa a chlapce s lampou, ktery pocital kosiky, jak je jeden po druhem vynaseli na breh, dokud slunce nestalo nad kopci a vsichni odesli domu pres vrch do mesta, kde na ne cekala vecere a teple svetlo v oknech.",
	"Dutch":   "De haven was stil toen de eerste boot binnenkwam, de zeilen nat van de lange nacht en de bemanning te moe om te zingen. Niemand wachtte op de kade behalve een oude hond en een jongen met een lamp, die de manden telde terwijl ze een voor een aan land kwamen tot de zon boven de heuvels stond.",
	"French":  "Le port était calme quand le premier bateau entra, ses voiles mouillées par la longue nuit et son équipage trop fatigué pour chanter. Personne n'attendait sur la jetée sauf un vieux chien et un garçon avec une lampe qui comptait les paniers à mesure qu'on les débarquait un par un.",
	"code":    "for (i = 0; i < n; i++) { if (p->next == NULL) return -1; sum += a[i] * b[i]; p = p->next; } printf(\"%d\\n\", sum); while (x != y) { x ^= mask; y <<= 2; } struct node *head = malloc(sizeof(*head)); head->key = strtol(argv[1], NULL, 10); assert(head != NULL); free(head);",
}

// page sets a text in lines of some 60 letters.
func set(text string) pdftest.Page {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		if len(line)+len(w) > 60 {
			lines = append(lines, line)
			line = ""
		}
		line += w + " "
	}
	lines = append(lines, line)
	for i, l := range lines {
		lines[i] = string(latin1(l))
	}
	return pdftest.Page{Content: pdftest.Lines("F1", 10, 12, 72, 700, lines...)}
}

// latin1 writes characters as bytes.
func latin1(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

func TestALayerThatSaysWhatNoLanguageSaysIsLookedAt(t *testing.T) {
	for name, text := range spoken {
		if p := read(t, auto, set(text)); p.Text == nil {
			t.Errorf("%s is not believed", name)
		}
		if name == "code" {
			continue
		}
		r := rand.New(rand.NewPCG(1, uint64(len(text))))
		believed := 0
		for range 50 { // a font that maps its codes to other letters
			to := r.Perm(26)
			other := strings.Map(func(c rune) rune {
				switch {
				case c >= 'a' && c <= 'z':
					return 'a' + rune(to[c-'a'])
				case c >= 'A' && c <= 'Z':
					return 'A' + rune(to[c-'A'])
				}
				return c
			}, text)
			if p := read(t, auto, set(other)); p.Image == nil {
				believed++
				t.Logf("%s is believed: %.60s", name, other)
			}
		}
		if believed > 8 { // whose letters happen to be as frequent as others
			t.Errorf("%s: %d of 50 lies are believed", name, believed)
		}
	}
	var wrong string
	for _, b := range []byte(spoken["French"]) { // the bytes of UTF-8 as letters of Latin-1
		wrong += string(rune(b))
	}
	if p := read(t, auto, set(wrong)); p.Image == nil {
		t.Error("UTF-8 read as Latin-1 is believed")
	}
}
