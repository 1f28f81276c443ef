package issuers

import (
	"cmp"
	"slices"
	"strings"

	"docstream/gateway/keys"
)

// claim finds a claim by its name or, where that begins with a slash, by its JSON pointer, such as /realm_access/roles.
func claim(all map[string]any, name string) any {
	if !strings.HasPrefix(name, "/") {
		return all[name]
	}
	var at any = all
	for part := range strings.SplitSeq(name[1:], "/") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return at
}

// tenant is whom the token speaks for: what the claim says, or, without one, the one tenant of the issuer.
func (i *issuer) tenant(all map[string]any) string {
	if i.TenantClaim == "" {
		return i.Tenants[0]
	}
	name, _ := claim(all, i.TenantClaim).(string)
	return name
}

// speaksFor reports whether the issuer may name a tenant: otherwise one issuer could open what is another's.
func (i Issuer) speaksFor(tenant string) bool {
	return slices.ContainsFunc(i.Tenants, func(pattern string) bool {
		start, open := strings.CutSuffix(pattern, "*")
		return pattern == tenant || open && strings.HasPrefix(tenant, start)
	})
}

// scopes are those the claim gives: a list, or text with blanks between. Without a mapping the values are our own scopes, but for operator,
// which is only given where the configuration says so.
func (i *issuer) scopes(all map[string]any) (out []string) {
	var values []string
	switch v := claim(all, cmp.Or(i.ScopeClaim, "scope")).(type) {
	case string:
		values = strings.Fields(v)
	case []any:
		for _, each := range v {
			if text, ok := each.(string); ok {
				values = append(values, text)
			}
		}
	}
	for _, v := range values {
		if s := i.scope(v); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (i *issuer) scope(value string) string {
	if len(i.Scopes) == 0 {
		if value == keys.Documents || value == keys.Admin {
			return value
		}
		return ""
	}
	for _, s := range i.Scopes {
		if from, to, _ := mapped(s); from == value {
			return to
		}
	}
	return ""
}

// mapped reads one line of a mapping, VALUE=SCOPE; the value may hold equals signs.
func mapped(s string) (value, scope string, ok bool) {
	at := strings.LastIndexByte(s, '=')
	if at < 1 {
		return "", "", false
	}
	value, scope = s[:at], s[at+1:]
	return value, scope, slices.Contains([]string{keys.Documents, keys.Admin, keys.Operator}, scope)
}
