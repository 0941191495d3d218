//! The macro that turns the layout of a class's methods into structs, a decoder and an encoder.
//!
//! One method reads `Name<'a> = number [reserved] { fields } (bits) { fields } [reserved]`, in the
//! order of the wire; the lifetime and every part but the first braces may be missing. Types are
//! those of `wire::kind`. Reserved fields are written empty, read, and are not in the struct.

macro_rules! methods {
    (
        $class_name:ident $(<$class_life:lifetime>)? = $class:literal;
        $(
            $(#[$doc:meta])*
            $name:ident $(<$life:lifetime>)? = $number:literal
            $([$($lead:ident),*])?
            { $($field:ident: $kind:ident $(<$kind_life:lifetime>)?),* }
            $(($($bit:ident),*))?
            $({ $($late:ident: $late_kind:ident $(<$late_life:lifetime>)?),* })?
            $([$($trail:ident),*])?
        )*
    ) => {
        use $crate::protocol::reply::MethodId;
        // A class whose methods have no fields uses none of the last three.
        #[allow(unused_imports)]
        use $crate::protocol::wire::{Fault, Taken, kind, put, take};

        /// The class's number.
        pub const CLASS: u16 = $class;

        #[derive(Clone, PartialEq, Debug)]
        pub enum Method $(<$class_life>)? {
            $($name($name $(<$life>)?),)*
        }

        impl $(<$class_life>)? Method $(<$class_life>)? {
            /// Decodes the arguments of method `number`; what remains of the input comes back too.
            pub(super) fn take<'i $(: $class_life)?>(number: u16, args: &'i [u8]) -> Taken<'i, Self> {
                match number {
                    $($number => {
                        let (rest, method) = $name::take(args)?;
                        Ok((rest, Self::$name(method)))
                    })*
                    _ => Fault::UnknownMethod.err(),
                }
            }

            /// Appends the arguments.
            #[inline]
            pub(super) fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(method) => method.put(out),)*
                }
            }

            pub fn id(&self) -> MethodId {
                match self {
                    $(Self::$name(_) => $name::ID,)*
                }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Debug, Default)]
            pub struct $name $(<$life>)? {
                $(pub $field: kind::$kind $(<$kind_life>)?,)*
                $($(pub $bit: bool,)*)?
                $($(pub $late: kind::$late_kind $(<$late_life>)?,)*)?
            }

            impl $(<$life>)? $name $(<$life>)? {
                pub const ID: MethodId = MethodId::new($class, $number);

                #[inline]
                pub(super) fn take<'i $(: $life)?>(input: &'i [u8]) -> Taken<'i, Self> {
                    $($(let (input, _) = take::$lead(input)?;)*)?
                    $(let (input, $field) = take::$kind(input)?;)*
                    // B1.10: adjacent bits share an octet, the first one in its lowest bit.
                    $(
                        let (input, octet) = take::octet(input)?;
                        let mut bits = (0..8).map(|bit| octet & (1 << bit) != 0);
                        $(let $bit = bits.next().unwrap_or_default();)*
                    )?
                    $($(let (input, $late) = take::$late_kind(input)?;)*)?
                    $($(let (input, _) = take::$trail(input)?;)*)?
                    Ok((input, Self { $($field,)* $($($bit,)*)? $($($late,)*)? }))
                }

                #[inline]
                // A method without fields writes nothing.
                #[allow(unused_variables, clippy::ptr_arg)]
                fn put(&self, out: &mut Vec<u8>) {
                    $($(put::$lead(out, &kind::$lead::default());)*)?
                    $(put::$kind(out, &self.$field);)*
                    $(
                        let bits = [$(self.$bit),*];
                        out.push(bits.iter().rev().fold(0, |octet, bit| octet << 1 | u8::from(*bit)));
                    )?
                    $($(put::$late_kind(out, &self.$late);)*)?
                    $($(put::$trail(out, &kind::$trail::default());)*)?
                }
            }

            impl<'m $(, $life: 'm)?> From<$name $(<$life>)?> for super::Method<'m> {
                fn from(method: $name $(<$life>)?) -> Self {
                    Self::$class_name(Method::$name(method))
                }
            }
        )*
    };
}

pub(super) use methods;
