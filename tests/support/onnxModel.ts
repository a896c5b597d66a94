/**
 * @file Reads ONNX models with the protobuf library and a description of its own: numbers and types of the fields as
 * onnx.proto has them, so that what the engine writes is checked against the format and not against its own tables.
 */
import { createFileRegistry, create, fromBinary, toJson } from '@bufbuild/protobuf'
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt'

type FieldType = 'INT32' | 'INT64' | 'FLOAT' | 'STRING' | 'BYTES'

/** By message: each field's number and type, `[]` for lists, other types being messages. */
const MESSAGES: Readonly<Record<string, Readonly<Record<string, readonly [number, string]>>>> = {
  ModelProto: {
    ir_version: [1, 'INT64'],
    producer_name: [2, 'STRING'],
    graph: [7, 'GraphProto'],
    opset_import: [8, 'OperatorSetIdProto[]'],
  },
  OperatorSetIdProto: { domain: [1, 'STRING'], version: [2, 'INT64'] },
  GraphProto: {
    node: [1, 'NodeProto[]'],
    name: [2, 'STRING'],
    initializer: [5, 'TensorProto[]'],
    input: [11, 'ValueInfoProto[]'],
    output: [12, 'ValueInfoProto[]'],
  },
  NodeProto: {
    input: [1, 'STRING[]'],
    output: [2, 'STRING[]'],
    op_type: [4, 'STRING'],
    attribute: [5, 'AttributeProto[]'],
    domain: [7, 'STRING'],
  },
  AttributeProto: {
    name: [1, 'STRING'],
    f: [2, 'FLOAT'],
    i: [3, 'INT64'],
    s: [4, 'BYTES'],
    g: [6, 'GraphProto'],
    ints: [8, 'INT64[]'],
    type: [20, 'INT32'],
  },
  TensorProto: {
    dims: [1, 'INT64[]'],
    data_type: [2, 'INT32'],
    name: [8, 'STRING'],
    raw_data: [9, 'BYTES'],
  },
  ValueInfoProto: { name: [1, 'STRING'], type: [2, 'TypeProto'] },
  TypeProto: { tensor_type: [1, 'TensorType'] },
  TensorType: { elem_type: [1, 'INT32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'Dimension[]'] },
  Dimension: { dim_value: [1, 'INT64'], dim_param: [2, 'STRING'] },
}

const file = create(FileDescriptorProtoSchema, {
  name: 'onnx.proto',
  package: 'onnx',
  syntax: 'proto2',
  messageType: Object.entries(MESSAGES).map(([name, fields]) => ({
    name,
    field: Object.entries(fields).map(([field, [number, type]]) => {
      const element = type.replace('[]', '')
      return {
        name: field,
        number,
        label:
          element === type
            ? FieldDescriptorProto_Label.OPTIONAL
            : FieldDescriptorProto_Label.REPEATED,
        ...(element in MESSAGES
          ? { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.onnx.${element}` }
          : { type: FieldDescriptorProto_Type[element as FieldType] }),
      }
    }),
  })),
})
const modelType = createFileRegistry(file, () => undefined).getMessage('onnx.ModelProto')

interface NodeJson {
  readonly input?: readonly string[]
  readonly output: readonly string[]
  readonly op_type: string
  readonly domain?: string
  readonly attribute?: readonly AttributeJson[]
}

interface AttributeJson {
  readonly name: string
  readonly type: number
  readonly f?: number
  readonly i?: string
  readonly s?: string
  readonly ints?: readonly string[]
  readonly g?: GraphJson
}

interface ValueJson {
  readonly name: string
  readonly type: {
    readonly tensor_type: {
      readonly elem_type: number
      readonly shape: { readonly dim?: readonly { dim_value?: string; dim_param?: string }[] }
    }
  }
}

export interface GraphJson {
  readonly name: string
  readonly node: readonly NodeJson[]
  readonly initializer?: readonly {
    readonly name: string
    readonly data_type: number
    readonly dims?: readonly string[]
    readonly raw_data: string
  }[]
  readonly input?: readonly ValueJson[]
  readonly output: readonly ValueJson[]
}

export interface ModelJson {
  readonly ir_version: string
  readonly graph: GraphJson
  readonly opset_import: readonly { readonly domain: string; readonly version: string }[]
}

/** A model as protobuf's JSON: 64-bit integers as texts, bytes in base64. */
export function readOnnxModel(bytes: Uint8Array): ModelJson {
  if (!modelType) throw new Error('no description of ModelProto')
  const message = fromBinary(modelType, bytes)
  return toJson(modelType, message, { useProtoFieldName: true }) as unknown as ModelJson
}
