/**
 * @file Writes ONNX models in their protobuf form (onnx.proto, IR version 8). Only the messages and fields that the
 * graph builder produces exist here; the numbers are those of the onnx.proto schema.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { ElementType, Shape } from './graph'

/** Opset and IR version that every execution provider in use accepts. */
const OPSET_VERSION = 17
const IR_VERSION = 8

/** ONNX Runtime's own operators. */
export const CONTRIB_DOMAIN = 'com.microsoft'
const CONTRIB_VERSION = 1

/** `TensorProto.DataType`. */
export const DATA_TYPES: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  uint32: 12,
  bfloat16: 16,
}

export interface ValueProto {
  readonly name: string
  readonly dtype: ElementType
  readonly shape: Shape
}

export interface InitializerProto {
  readonly name: string
  readonly dtype: ElementType
  readonly dims: readonly number[]
  /** Little-endian elements. */
  readonly data: Uint8Array
}

/** Integers and lists of integers, floats, strings and subgraphs: the kinds of attribute in use. */
export type AttributeProto =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'graph'; readonly value: GraphProto }

export interface NodeProto {
  readonly opType: string
  /** ONNX's own by default. */
  readonly domain?: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, AttributeProto>>
}

export interface GraphProto {
  readonly name: string
  readonly nodes: readonly NodeProto[]
  readonly initializers: readonly InitializerProto[]
  readonly inputs: readonly ValueProto[]
  readonly outputs: readonly ValueProto[]
}

/** Encodes a graph as a complete model. */
export function encodeModel(graph: GraphProto): Uint8Array {
  const writer = new BinaryWriter()
  varint(writer, 1, IR_VERSION)
  text(writer, 2, 'lesa-workbench')
  message(writer, 7, () => writeGraph(writer, graph))
  for (const [domain, version] of [
    ['', OPSET_VERSION],
    [CONTRIB_DOMAIN, CONTRIB_VERSION],
  ] as const) {
    message(writer, 8, () => {
      text(writer, 1, domain)
      varint(writer, 2, version)
    })
  }
  return writer.finish()
}

function writeGraph(writer: BinaryWriter, graph: GraphProto): void {
  for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node))
  text(writer, 2, graph.name)
  for (const tensor of graph.initializers) message(writer, 5, () => writeTensor(writer, tensor))
  for (const value of graph.inputs) message(writer, 11, () => writeValue(writer, value))
  for (const value of graph.outputs) message(writer, 12, () => writeValue(writer, value))
}

function writeNode(writer: BinaryWriter, node: NodeProto): void {
  for (const input of node.inputs) text(writer, 1, input)
  for (const output of node.outputs) text(writer, 2, output)
  text(writer, 4, node.opType)
  for (const [name, attribute] of Object.entries(node.attributes)) {
    message(writer, 5, () => writeAttribute(writer, name, attribute))
  }
  if (node.domain !== undefined) text(writer, 7, node.domain)
}

function writeAttribute(writer: BinaryWriter, name: string, attribute: AttributeProto): void {
  text(writer, 1, name)
  switch (attribute.kind) {
    case 'float':
      writer.tag(2, WireType.Bit32).float(attribute.value)
      varint(writer, 20, 1)
      break
    case 'int':
      varint(writer, 3, attribute.value)
      varint(writer, 20, 2)
      break
    case 'string':
      text(writer, 4, attribute.value)
      varint(writer, 20, 3)
      break
    case 'graph':
      message(writer, 6, () => writeGraph(writer, attribute.value))
      varint(writer, 20, 5)
      break
    case 'ints':
      for (const value of attribute.value) varint(writer, 8, value)
      varint(writer, 20, 7)
      break
  }
}

function writeTensor(writer: BinaryWriter, tensor: InitializerProto): void {
  for (const dim of tensor.dims) varint(writer, 1, dim)
  varint(writer, 2, DATA_TYPES[tensor.dtype])
  text(writer, 8, tensor.name)
  writer.tag(9, WireType.LengthDelimited).bytes(tensor.data)
}

function writeValue(writer: BinaryWriter, value: ValueProto): void {
  text(writer, 1, value.name)
  message(writer, 2, () => {
    message(writer, 1, () => {
      varint(writer, 1, DATA_TYPES[value.dtype])
      message(writer, 2, () => {
        for (const dim of value.shape) {
          message(writer, 1, () => {
            if (typeof dim === 'number') varint(writer, 1, dim)
            else text(writer, 2, dim)
          })
        }
      })
    })
  })
}

function varint(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value)
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value)
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork()
  write()
  writer.join()
}
