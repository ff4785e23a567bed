/** Commands for a POSIX shell. */

/** One word of a shell, whatever is in it. */
export function quote(word) {
  return /^[A-Za-z0-9_\/:.,@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The key as a variable, so that a command can be shown to others. */
export const KEY_VARIABLE = "METRICS_KEY";

/**
 * The curl that sends a request. `query` and `headers` are [name, value] pairs; `key` puts the key itself in, else
 * the variable stands for it; a request that takes no key has `keyless`.
 */
export function curl({ method = "GET", url, query = [], headers = [], body, keyless = false, file }, key = "") {
  const lines = [quote(url)];
  if (!keyless) lines.push(key ? `-H ${quote(`X-API-Key: ${key}`)}` : `-H "X-API-Key: $${KEY_VARIABLE}"`);
  for (const [name, value] of headers) lines.push(`-H ${quote(`${name}: ${value}`)}`);
  for (const [name, value] of query) lines.push(`--data-urlencode ${quote(`${name}=${value}`)}`);
  if (body !== undefined) lines.push(`--data-raw ${quote(body)}`);
  if (file) lines.push(`-o ${quote(file)}`);
  const verb = method === (body === undefined ? "GET" : "POST") ? "" : `-X ${method} `;
  return `curl ${verb}${query.length ? "-G " : ""}${lines.join(" \\\n  ")}`;
}
