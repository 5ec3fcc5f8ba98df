"""The page that a phone in a class opens: one small document without Gradio, since sixty phones load it at once over
the network of a classroom."""

import html
from collections.abc import Mapping

from lesion.ui.html import heading
from lesion.ui.html.round_steps import OF_STAGE

STYLE = """
* { box-sizing: border-box; }
.dark { --color-accent: #6fc7dc; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--body-background-fill); color: var(--body-text-color); font-family: var(--font);
  font-size: var(--text-md); line-height: 1.45; }
main { max-width: 40rem; margin: 0 auto; padding: .6rem .75rem 1.5rem; }
h1 { font-size: var(--text-lg); margin: 0 0 .4rem; }
.round .case { grid-template-columns: minmax(0, 1fr); }
form { display: grid; gap: .6rem; margin: .6rem 0; }
input:not([type=radio]):not([type=checkbox]), form button { font: inherit; border-radius: 8px; padding: .6rem .7rem;
  min-height: 44px; width: 100%; color: inherit; background: var(--input-background-fill);
  border: 1px solid var(--input-border-color); }
form button { background: var(--button-primary-background-fill); color: var(--button-primary-text-color);
  border: 0; font-weight: 600; cursor: pointer; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--color-accent); outline-offset: 2px; }
#code { text-transform: uppercase; letter-spacing: .12em; font-size: var(--text-xl); }
#said { min-height: 3em; margin: .3rem 0; font-weight: 600; }
small { display: block; font-size: var(--text-xs); line-height: 1.4; border-left: 4px solid #E69F00;
  padding-left: .6rem; margin-top: 1.2rem; }
"""
SCRIPT = """
const KEPT = 'skin-lesion-class';
const find = selector => document.querySelector(selector);
const view = find('#view'), words = find('#said'), joining = find('#join'), entering = find('#login');
let me = {};   // code, token, and a vote that no answer came to
let now = {};  // what the class is at
let timer, asking = false, touched = 0;
try { me = JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch {}
const keep = () => { try { localStorage.setItem(KEPT, JSON.stringify(me)); } catch {} };
const wait = seconds => { clearTimeout(timer); timer = setTimeout(go, 1000 * seconds); };
const say = text => { if (words.textContent !== text) words.textContent = text; };

async function ask(what, question) {
  const given = await fetch(what, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(question),
    signal: AbortSignal.timeout(8000),
  });
  if (given.status >= 500 || given.status === 429) throw new Error(given.status);
  return [given.status, await given.json()];
}

// One question at a time: a vote that no answer came to first, then where the class is.
async function go() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  let next = 5 + 5 * Math.random();
  try {
    if (!me.code) return show(joining);
    if (!me.token) {
      const [status, given] = await ask('join', { code: me.code });
      if (status !== 200) { refused(status, given); return; }
      me.token = given.token;
      keep();
    }
    const vote = me.vote, mine = { code: me.code, token: me.token, turn: now.turn ?? null };
    const [status, given] = await ask(vote ? 'vote' : 'look', vote ? { ...mine, ...vote } : mine);
    if (status === 401 || status === 403 || status === 404) { refused(status, given); return; }
    if (vote) { delete me.vote; keep(); }
    if (status === 200) arrived(given);
    else { say(given.detail); if (vote) { now.turn = null; next = 1; } }
  } catch {
    say(me.vote ? 'Your vote has not arrived yet. It is sent again.' : 'No answer from the server. Trying again.');
    next = 1.5 + 1.5 * Math.random();
  } finally {
    asking = false;
    if (me.code && entering.hidden && joining.hidden) wait(next);
  }
}

function show(form) {
  for (const one of [joining, entering]) one.hidden = one !== form;
  if (form) { view.replaceChildren(); form.querySelector('input').focus(); }
}

function refused(status, given) {
  if (status === 401) { say(''); show(entering); return; }
  delete me.vote;
  delete me.token;
  now = {};
  if (status !== 403) { delete me.code; show(joining); }
  else setTimeout(go, 1000);
  keep();
  say(given.detail);
}

function arrived(given) {
  show(null);
  if (given.html !== undefined) view.innerHTML = given.html;
  now = { ...now, ...given };
  const own = now.votes[now.stage], before = Object.values(now.votes).filter(Boolean).pop();
  const said = view.querySelector('.say');
  if (said) {
    said.hidden = Boolean(own) || Boolean(me.vote);
    // To keep a guess is one touch: it is chosen already.
    if (given.html !== undefined && before) said.querySelector(`[value=${before[0]}]`).checked = true;
  }
  if (own && now.open) say(`Your vote: ${named(own)}. Wait for the next stage.`);
  else if (now.open) say('');
  else if (now.turn === 0) say('You are in. Wait for your teacher to begin.');
  else if (before && now.stage) say(`Your last vote: ${named(before)}.`);
  else say('');
}

function named([code, confidence]) {
  return `${now.names[code]}, ${confidence}`;
}

view.addEventListener('click', event => {
  const button = event.target.closest('[data-sure]'), chosen = view.querySelector('[name=diagnosis]:checked');
  if (!button || me.vote) return;
  if (!chosen) { say('Choose a diagnosis first.'); return; }
  me.vote = { case: now.case, stage: now.stage, diagnosis: chosen.value, confidence: button.dataset.sure };
  keep();
  view.querySelector('.say').hidden = true;
  say('Sending your vote …');
  go();
});
// Whoever touches the page while waiting wants to know whether the class has gone on.
document.addEventListener('pointerdown', event => {
  if (event.target.closest('button, label, input, a') || Date.now() - touched < 1000 || !me.token) return;
  touched = Date.now();
  go();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden && me.token) go(); });
joining.addEventListener('submit', event => {
  event.preventDefault();
  me = { code: find('#code').value };
  now = {};
  say('');
  joining.hidden = true;
  go();
});
entering.addEventListener('submit', async event => {
  event.preventDefault();
  const given = await fetch('../login', { method: 'POST', body: new FormData(entering) }).catch(() => null);
  if (given?.ok) { entering.hidden = true; say(''); go(); }
  else say(given ? 'User or password is wrong.' : 'No answer from the server. Please try again.');
});
const linked = location.pathname.split('/').pop().toUpperCase();
if (linked && linked !== me.code) me = { code: linked };
go();
"""
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Class: skin lesions</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../theme.css">
<style>%s</style>
<script>
const dark = matchMedia('(prefers-color-scheme: dark)');
const shade = () => document.documentElement.classList.toggle('dark', dark.matches);
dark.addEventListener('change', shade);
shade();
</script>
</head>
<body>
<main>
<h1>What do you see?</h1>
<div id="view" aria-live="polite"></div>
<p role="status" id="said"></p>
<form id="join" hidden>
<label for="code">Code of the class, from the projector</label>
<input id="code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required>
<button>Join the class</button>
</form>
<form id="login" hidden>
<label>User <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
<small>{heading.NOTICE} No name is asked for: a random number in this browser counts a phone once.</small>
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def page(style: str) -> str:
    """The document.

    Args:
        style: rules of this and of the pieces that appear in it.
    """
    return PAGE.replace("%s", style, 1)


def own_result(numbers: Mapping[str, tuple[int, int]]) -> str:
    """How one phone did.

    Args:
        numbers: by stage, how many of its guesses were right, and how many it made.
    """
    lines = "".join(
        f"<li>{html.escape(OF_STAGE[stage])}: {right} of {made} right</li>" for stage, (right, made) in numbers.items()
    )
    return (
        f'<div class="round"><h2>The round is over</h2><p>Your guesses:</p><ul>{lines}</ul>'
        "<p>The result of the class is on the projector.</p></div>"
    )
