//! Typed access to a node's attributes, which remembers what nobody asked for.

use std::collections::BTreeSet;

use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::{AttributeProto, TensorProto};

use crate::error::Fault;

/// The attributes of one node.
pub(crate) struct Attributes<'m> {
    all: &'m [AttributeProto],
    read: BTreeSet<&'static str>,
}

impl<'m> Attributes<'m> {
    pub(crate) fn new(all: &'m [AttributeProto]) -> Self {
        Self { all, read: BTreeSet::new() }
    }

    /// The attribute of this name, if it is there and of this type. Counts as read from now on.
    fn get(&mut self, name: &'static str, ty: AttributeType) -> Result<Option<&'m AttributeProto>, Fault> {
        self.read.insert(name);
        let mut named = self.all.iter().filter(|a| a.name == name);
        let Some(attribute) = named.next() else { return Ok(None) };
        let fault = |found: String| Fault::new(subject(name), found, format!("one value of type {ty:?}"));
        if named.next().is_some() {
            return Err(fault("the attribute twice".to_owned()));
        }
        if !attribute.ref_attr_name.is_empty() {
            return Err(fault(format!("a reference to `{}` of a function", attribute.ref_attr_name)));
        }
        match attribute.type_.enum_value() {
            // Writers before IR version 2 left the type out.
            Ok(found) if found == ty || found == AttributeType::UNDEFINED => Ok(Some(attribute)),
            Ok(found) => Err(fault(format!("type {found:?}"))),
            Err(number) => Err(fault(format!("type number {number}"))),
        }
    }

    pub(crate) fn int(&mut self, name: &'static str) -> Result<Option<i64>, Fault> {
        Ok(self.get(name, AttributeType::INT)?.map(|a| a.i))
    }

    /// An attribute that is 0 or 1.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool, Fault> {
        match self.int(name)? {
            None => Ok(default),
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(other) => Err(Fault::new(subject(name), other.to_string(), "0 or 1")),
        }
    }

    pub(crate) fn float(&mut self, name: &'static str) -> Result<Option<f32>, Fault> {
        Ok(self.get(name, AttributeType::FLOAT)?.map(|a| a.f))
    }

    pub(crate) fn ints(&mut self, name: &'static str) -> Result<Option<&'m [i64]>, Fault> {
        Ok(self.get(name, AttributeType::INTS)?.map(|a| a.ints.as_slice()))
    }

    pub(crate) fn floats(&mut self, name: &'static str) -> Result<Option<&'m [f32]>, Fault> {
        Ok(self.get(name, AttributeType::FLOATS)?.map(|a| a.floats.as_slice()))
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Result<Option<&'m str>, Fault> {
        let Some(attribute) = self.get(name, AttributeType::STRING)? else { return Ok(None) };
        match std::str::from_utf8(&attribute.s) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Fault::new(subject(name), "bytes that are not UTF-8", "text")),
        }
    }

    pub(crate) fn tensor(&mut self, name: &'static str) -> Result<Option<&'m TensorProto>, Fault> {
        let Some(attribute) = self.get(name, AttributeType::TENSOR)? else { return Ok(None) };
        match attribute.t.as_ref() {
            Some(tensor) => Ok(Some(tensor)),
            None => Err(Fault::new(subject(name), "no tensor", "a tensor")),
        }
    }

    /// Declares an attribute that has no effect at inference.
    pub(crate) fn ignore(&mut self, name: &'static str) {
        self.read.insert(name);
    }

    /// A fault if there are attributes that were neither read nor ignored: they might change the result.
    pub(crate) fn unread(&self) -> Option<Fault> {
        let unread: Vec<&str> =
            self.all.iter().map(|a| a.name.as_str()).filter(|name| !self.read.contains(name)).collect();
        let (first, more) = unread.split_first()?;
        let found = match more.len() {
            0 => "an attribute unknown to this operator in this opset".to_owned(),
            n => format!("it and {n} more attributes unknown to this operator in this opset"),
        };
        Some(Fault::new(subject(first), found, "the operator without it"))
    }
}

/// How an attribute is called in a problem.
pub(crate) fn subject(name: &str) -> String {
    format!("attribute `{name}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{float, int, ints};

    #[test]
    fn reads_by_type_and_reports_what_was_not_read() {
        let all = [int("axis", 2), ints("pads", &[1, 1]), float("spare", 1.0)];
        let mut attributes = Attributes::new(&all);
        assert_eq!(attributes.int("axis").unwrap(), Some(2));
        assert_eq!(attributes.int("absent").unwrap(), None);
        assert!(attributes.float("pads").is_err());
        assert!(format!("{:?}", attributes.unread()).contains("spare"));
        attributes.ignore("spare");
        assert!(attributes.unread().is_none());
    }

    #[test]
    fn refuses_an_attribute_given_twice_or_by_reference() {
        let twice = [int("axis", 1), int("axis", 2)];
        assert!(Attributes::new(&twice).int("axis").is_err());
        let mut reference = int("axis", 1);
        reference.ref_attr_name = "outer".into();
        assert!(Attributes::new(&[reference]).int("axis").is_err());
    }

    #[test]
    fn refuses_a_tensor_attribute_without_a_tensor() {
        let mut empty = int("value", 0);
        empty.type_ = AttributeType::TENSOR.into();
        assert!(Attributes::new(&[empty]).tensor("value").is_err());
    }
}
