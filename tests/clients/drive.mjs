// Drives one client of npm: reads one JSON line per request from standard input, writes one JSON line per outcome.
// `node drive.mjs CLIENT FOLDER`, FOLDER being where node_modules is. The lines are those of driver.py.

import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [client, folder] = process.argv.slice(2)
const here = createRequire(`${folder}/package.json`)
const load = (name) => import(pathToFileURL(here.resolve(name)).href)
const WEATHER = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const PLACE = 'get_weather'

// What a request may want beyond its text; the same names for every client.
const settings = (ask) => ({ apiKey: ask.key, baseURL: ask.base, maxRetries: ask.retries, timeout: ask.timeout,
  defaultHeaders: ask.headers })

async function openaiSdk() {
  const { default: OpenAI } = await load('openai')
  const chat = async (ask, signal, seen) => {
    const client = new OpenAI(settings(ask))
    const messages = [{ role: 'user', content: ask.prompt }]
    const tools = ask.tool ? [{ type: 'function', function: { name: PLACE, parameters: WEATHER } }] : undefined
    for (;;) {
      const answer = { content: '', calls: [] }
      const body = { model: ask.model, messages, tools }
      if (ask.stream) {
        for await (const chunk of await client.chat.completions.create({ ...body, stream: true }, { signal })) {
          const delta = chunk.choices[0]?.delta ?? {}
          seen.text += delta.content ?? ''
          for (const call of delta.tool_calls ?? []) {
            const kept = answer.calls[call.index] ??= { id: call.id, type: 'function', function: { name: '', arguments: '' } }
            kept.function.name += call.function.name ?? ''
            kept.function.arguments += call.function.arguments ?? ''
          }
        }
      } else {
        const { message } = (await client.chat.completions.create(body, { signal })).choices[0]
        seen.text += message.content ?? ''
        answer.calls = message.tool_calls ?? []
      }
      if (!answer.calls.length) return
      messages.push({ role: 'assistant', content: null, tool_calls: answer.calls })
      for (const call of answer.calls) {
        seen.calls.push([call.function.name, JSON.parse(call.function.arguments)])
        messages.push({ role: 'tool', tool_call_id: call.id, content: 'sunny' })
      }
    }
  }
  const responses = async (ask, signal, seen) => {
    const client = new OpenAI(settings(ask))
    const input = [{ role: 'user', content: ask.prompt }]
    const tools = ask.tool ? [{ type: 'function', name: PLACE, parameters: WEATHER, strict: false }] : undefined
    for (;;) {
      let output = []
      const body = { model: ask.model, input, tools }
      if (ask.stream) {
        for await (const event of await client.responses.create({ ...body, stream: true }, { signal })) {
          seen.kinds.push(event.type)
          if (event.type === 'response.output_text.delta') seen.text += event.delta
          if (event.type === 'response.completed') output = event.response.output
          if (event.type === 'response.failed') seen.failed = event.response.error
          if (event.type === 'error') seen.told = event
        }
      } else {
        const answer = await client.responses.create(body, { signal })
        seen.text += answer.output_text
        output = answer.output
      }
      const calls = output.filter((item) => item.type === 'function_call')
      if (!calls.length) return
      input.push(...output)
      for (const call of calls) {
        seen.calls.push([call.name, JSON.parse(call.arguments)])
        input.push({ type: 'function_call_output', call_id: call.call_id, output: 'sunny' })
      }
    }
  }
  return { chat, responses }
}

async function anthropicSdk() {
  const { default: Anthropic } = await load('@anthropic-ai/sdk')
  const messages = async (ask, signal, seen) => {
    const client = new Anthropic(settings(ask))
    const messages = [{ role: 'user', content: ask.prompt }]
    const tools = ask.tool ? [{ name: PLACE, input_schema: WEATHER }] : undefined
    for (;;) {
      const body = { model: ask.model, max_tokens: 8192, messages, tools }
      let answer
      if (ask.stream) {
        const stream = client.messages.stream(body, { signal })
        stream.on('text', (text) => { seen.text += text })
        answer = await stream.finalMessage()
      } else {
        answer = await client.messages.create(body, { signal })
        for (const block of answer.content) seen.text += block.text ?? ''
      }
      const calls = answer.content.filter((block) => block.type === 'tool_use')
      if (!calls.length) return
      for (const call of calls) seen.calls.push([call.name, call.input])
      messages.push({ role: 'assistant', content: answer.content }, { role: 'user', content: calls.map((call) => (
        { type: 'tool_result', tool_use_id: call.id, content: 'sunny' })) })
    }
  }
  return { messages }
}

async function aiSdk() {
  const { generateText, streamText, stepCountIs, tool, jsonSchema } = await load('ai')
  const { createOpenAI } = await load('@ai-sdk/openai')
  const { createAnthropic } = await load('@ai-sdk/anthropic')
  const way = (make) => async (ask, signal, seen) => {
    const limited = ask.timeout ? AbortSignal.any([signal, AbortSignal.timeout(ask.timeout)]) : signal
    const execute = (input) => { seen.calls.push([PLACE, input]); return 'sunny' }
    const body = { model: make({ apiKey: ask.key, baseURL: ask.base, headers: ask.headers }, ask.model),
      prompt: ask.prompt, maxRetries: ask.retries, maxOutputTokens: 8192, abortSignal: limited, stopWhen: stepCountIs(9),
      tools: ask.tool ? { [PLACE]: tool({ inputSchema: jsonSchema(WEATHER), execute }) } : undefined }
    if (!ask.stream) {
      seen.text += (await generateText(body)).text
      return
    }
    for await (const part of streamText({ ...body, onError: () => {} }).fullStream) {
      if (part.type === 'text-delta') seen.text += part.text
      if (part.type === 'finish') seen.finish = part.finishReason
      if (part.type === 'error') throw part.error
      if (part.type === 'abort') throw new DOMException('aborted', 'AbortError')
    }
  }
  return { chat: way((options, model) => createOpenAI(options).chat(model)),
    responses: way((options, model) => createOpenAI(options).responses(model)),
    messages: way((options, model) => createAnthropic(options)(model)) }
}

// An error as its user sees it; AI SDK's last one of several attempts stands in `lastError`.
function told(error) {
  const inner = error?.lastError ?? error
  const word = (value) => (typeof value === 'string' ? value : null)
  return { kind: inner?.constructor?.name ?? typeof inner, message: String(inner?.message ?? JSON.stringify(inner)),
    status: inner?.status ?? inner?.statusCode ?? null, code: word(inner?.code), type: word(inner?.type),
    wait: (inner?.headers?.get?.('retry-after') ?? inner?.responseHeaders?.['retry-after']) ?? null }
}

const clients = { openai: openaiSdk, anthropic: anthropicSdk, ai: aiSdk }
const surfaces = await clients[client]()
console.log(JSON.stringify({ surfaces: Object.keys(surfaces) }))
for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line)
  const seen = { text: '', calls: [], kinds: [] }
  const leaving = new AbortController()
  if (ask.leave) setTimeout(() => leaving.abort(), ask.leave)
  const begun = performance.now()
  try {
    await surfaces[ask.surface](ask, leaving.signal, seen)
  } catch (error) {
    seen.error = told(error)
  }
  console.log(JSON.stringify({ ...seen, seconds: (performance.now() - begun) / 1000 }))
}
